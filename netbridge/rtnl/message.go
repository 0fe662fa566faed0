// Package rtnl speaks rtnetlink in batches: any number of messages go to the
// kernel in one write and are answered in one read, so that making an
// interface, its address and its route is one round trip.
package rtnl

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Batch is a run of messages for one Do. The kernel carries them out in order
// and each on its own: a later one is tried also where an earlier one failed.
type Batch struct {
	buf      []byte
	start    []int // offset of each message
	optional []int // messages about what the kernel need not have
}

// Len is the number of messages.
func (b *Batch) Len() int { return len(b.start) }

func (b *Batch) message(kind, flags uint16, body []byte) {
	b.close()
	b.start = append(b.start, len(b.buf))
	var h [unix.SizeofNlMsghdr]byte
	binary.NativeEndian.PutUint16(h[4:], kind)
	binary.NativeEndian.PutUint16(h[6:], flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	b.buf = append(b.buf, h[:]...)
	b.buf = append(b.buf, body...)
}

// close writes the length of the message under construction.
func (b *Batch) close() {
	if n := len(b.start); n > 0 {
		at := b.start[n-1]
		binary.NativeEndian.PutUint32(b.buf[at:], uint32(len(b.buf)-at))
	}
}

func (b *Batch) attr(kind uint16, data []byte) {
	n := unix.SizeofRtAttr + len(data)
	b.buf = binary.NativeEndian.AppendUint16(b.buf, uint16(n))
	b.buf = binary.NativeEndian.AppendUint16(b.buf, kind)
	b.buf = append(b.buf, data...)
	for len(b.buf)%unix.NLMSG_ALIGNTO != 0 {
		b.buf = append(b.buf, 0)
	}
}

func (b *Batch) attrString(kind uint16, s string) { b.attr(kind, append([]byte(s), 0)) }

func (b *Batch) attrU32(kind uint16, v uint32) {
	b.attr(kind, binary.NativeEndian.AppendUint32(nil, v))
}

func (b *Batch) attrU8(kind uint16, v uint8) { b.attr(kind, []byte{v}) }

// nest opens a nested attribute and returns what closes it.
func (b *Batch) nest(kind uint16) (end func()) {
	at := len(b.buf)
	b.attr(kind|unix.NLA_F_NESTED, nil)
	return func() { binary.NativeEndian.PutUint16(b.buf[at:], uint16(len(b.buf)-at)) }
}

func ifinfo(family uint8, index int, flags, change uint32) []byte {
	body := make([]byte, unix.SizeofIfInfomsg)
	body[0] = family
	binary.NativeEndian.PutUint32(body[4:], uint32(index))
	binary.NativeEndian.PutUint32(body[8:], flags)
	binary.NativeEndian.PutUint32(body[12:], change)
	return body
}

func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
