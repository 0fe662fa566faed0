package rtnl

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// AddAddress gives an interface an address with the prefix's length. IPv6
// addresses are usable at once, without duplicate detection.
func (b *Batch) AddAddress(index int, p netip.Prefix) {
	body := make([]byte, unix.SizeofIfAddrmsg)
	body[0] = family(p.Addr())
	body[1] = uint8(p.Bits())
	if p.Addr().Is6() {
		body[2] = unix.IFA_F_NODAD
	}
	binary.NativeEndian.PutUint32(body[4:], uint32(index))
	b.message(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, body)
	addr := p.Addr().AsSlice()
	b.attr(unix.IFA_LOCAL, addr)
	b.attr(unix.IFA_ADDRESS, addr)
	if p.Addr().Is4() && p.Bits() < 31 {
		b.attr(unix.IFA_BROADCAST, broadcast(p))
	}
}

func broadcast(p netip.Prefix) []byte {
	a := p.Addr().As4()
	v := binary.BigEndian.Uint32(a[:]) | (1<<(32-p.Bits()) - 1)
	return binary.BigEndian.AppendUint32(nil, v)
}

// AddDefaultRoute adds a default route by way of gateway.
func (b *Batch) AddDefaultRoute(index int, gateway netip.Addr) {
	body := make([]byte, unix.SizeofRtMsg)
	body[0] = family(gateway)
	body[4] = unix.RT_TABLE_MAIN
	body[5] = unix.RTPROT_BOOT
	body[6] = unix.RT_SCOPE_UNIVERSE
	body[7] = unix.RTN_UNICAST
	b.message(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body)
	b.attr(unix.RTA_GATEWAY, gateway.AsSlice())
	b.attrU32(unix.RTA_OIF, uint32(index))
}

// Prefixes lists what the namespace knows of the world: the subnet of every
// address and the destination of every route in every table, the default
// routes and the loopback's and multicast's own left out.
func (s *Socket) Prefixes() ([]netip.Prefix, error) {
	var found []netip.Prefix
	add := func(p netip.Prefix) {
		if p.IsValid() && p.Bits() > 0 && !p.Addr().IsLoopback() && !p.Addr().IsMulticast() && !p.Addr().IsLinkLocalUnicast() {
			found = append(found, p.Masked())
		}
	}
	err := s.dump(unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg), nil, func(body []byte) {
		bits := int(body[1])
		attributes(body[unix.SizeofIfAddrmsg:], func(kind uint16, data []byte) {
			if a, ok := netip.AddrFromSlice(data); ok && (kind == unix.IFA_ADDRESS || kind == unix.IFA_LOCAL) {
				add(netip.PrefixFrom(a, bits))
			}
		})
	})
	if err != nil {
		return nil, err
	}
	err = s.dump(unix.RTM_GETROUTE, make([]byte, unix.SizeofRtMsg), nil, func(body []byte) {
		bits := int(body[1])
		attributes(body[unix.SizeofRtMsg:], func(kind uint16, data []byte) {
			if a, ok := netip.AddrFromSlice(data); ok && kind == unix.RTA_DST {
				add(netip.PrefixFrom(a, bits))
			}
		})
	})
	return found, err
}
