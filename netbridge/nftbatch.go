package netbridge

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// nftBatch encodes one nftables transaction.
type nftBatch struct {
	buf  []byte
	last int // offset of the message under construction
}

func nftType(message uint16) uint16 { return unix.NFNL_SUBSYS_NFTABLES<<8 | message }

func (b *nftBatch) message(kind, flags uint16, family byte, resource uint16) {
	b.close()
	b.last = len(b.buf)
	b.buf = append(b.buf, make([]byte, unix.SizeofNlMsghdr)...)
	binary.NativeEndian.PutUint16(b.buf[b.last+4:], kind)
	binary.NativeEndian.PutUint16(b.buf[b.last+6:], flags|unix.NLM_F_REQUEST)
	b.buf = append(b.buf, family, unix.NFNETLINK_V0)
	b.buf = binary.BigEndian.AppendUint16(b.buf, resource)
}

func (b *nftBatch) close() {
	if len(b.buf) > b.last {
		binary.NativeEndian.PutUint32(b.buf[b.last:], uint32(len(b.buf)-b.last))
	}
}

func (b *nftBatch) bytes() []byte {
	b.close()
	return b.buf
}

func (b *nftBatch) attr(kind uint16, data []byte) {
	b.buf = binary.NativeEndian.AppendUint16(b.buf, uint16(unix.SizeofRtAttr+len(data)))
	b.buf = binary.NativeEndian.AppendUint16(b.buf, kind)
	b.buf = append(b.buf, data...)
	for len(b.buf)%unix.NLMSG_ALIGNTO != 0 {
		b.buf = append(b.buf, 0)
	}
}

func (b *nftBatch) text(kind uint16, s string) { b.attr(kind, append([]byte(s), 0)) }

func (b *nftBatch) number(kind uint16, v uint32) {
	b.attr(kind, binary.BigEndian.AppendUint32(nil, v))
}

func (b *nftBatch) nest(kind uint16) (end func()) {
	at := len(b.buf)
	b.attr(kind|unix.NLA_F_NESTED, nil)
	return func() { binary.NativeEndian.PutUint16(b.buf[at:], uint16(len(b.buf)-at)) }
}
