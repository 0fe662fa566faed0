package netbridge

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
)

var errNoSubnet = errors.New("every address pool (172.17-31.0.0/16, 192.168.0.0/16 in /20s) collides with a network, address or route of this host; name a free subnet under networks.<name>.ipam.config")

// pools4 are the subnets that are tried in turn, as Docker has them.
func pools4() []netip.Prefix {
	var all []netip.Prefix
	for i := 17; i <= 31; i++ {
		all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{172, byte(i)}), 16))
	}
	for i := 0; i < 256; i += 16 {
		all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(i)}), 20))
	}
	return all
}

// freeSubnet4 is the first pool that overlaps nothing of taken.
func freeSubnet4(taken []netip.Prefix) (netip.Prefix, error) {
	for _, p := range pools4() {
		if overlapping(p, taken) == (netip.Prefix{}) {
			return p, nil
		}
	}
	return netip.Prefix{}, errNoSubnet
}

// freeSubnet6 is a random unique local /64 (RFC 4193).
func freeSubnet6(taken []netip.Prefix) (netip.Prefix, error) {
	for range 64 {
		a := [16]byte{0: 0xfd}
		if _, err := rand.Read(a[1:8]); err != nil {
			return netip.Prefix{}, err
		}
		if p := netip.PrefixFrom(netip.AddrFrom16(a), 64); overlapping(p, taken) == (netip.Prefix{}) {
			return p, nil
		}
	}
	return netip.Prefix{}, errors.New("no free IPv6 subnet found; name one under networks.<name>.ipam.config")
}

// overlapping returns what of taken p overlaps. A route that covers more than
// a /8 (a VPN's 0.0.0.0/1, say) is as good as a default route and does not count.
func overlapping(p netip.Prefix, taken []netip.Prefix) netip.Prefix {
	for _, t := range taken {
		if (t.Addr().Is4() && t.Bits() < 8) || (t.Addr().Is6() && t.Bits() < 8) {
			continue
		}
		if p.Overlaps(t) {
			return t
		}
	}
	return netip.Prefix{}
}

// complete checks one subnet of a request and fills in its gateway.
func (s *Subnet) complete() error {
	p := s.Prefix
	if !p.IsValid() {
		return errors.New("a subnet is missing its prefix, e.g. 10.5.0.0/24")
	}
	if p != p.Masked() {
		return fmt.Errorf("subnet %s has host bits set; did you mean %s?", p, p.Masked())
	}
	if room := p.Addr().BitLen() - p.Bits(); room < 2 {
		return fmt.Errorf("subnet %s has no room for a gateway and a container", p)
	}
	if s.Range.IsValid() && (!p.Contains(s.Range.Addr()) || s.Range.Bits() < p.Bits()) {
		return fmt.Errorf("ip_range %s is not inside the subnet %s", s.Range, p)
	}
	for name, a := range s.Aux {
		if !p.Contains(a) {
			return fmt.Errorf("aux address %s (%s) is not inside the subnet %s", name, a, p)
		}
	}
	if !s.Gateway.IsValid() {
		s.Gateway = p.Addr().Next()
		if s.Range.IsValid() && s.Range.Addr() != p.Addr() {
			s.Gateway = s.Range.Masked().Addr().Next()
		}
	}
	if !p.Contains(s.Gateway) || s.Gateway == p.Addr() {
		return fmt.Errorf("gateway %s is not an address of the subnet %s", s.Gateway, p)
	}
	return nil
}

// bounds are the first and last address to be handed out.
func (s *Subnet) bounds() (first, last netip.Addr) {
	p := s.Prefix
	if s.Range.IsValid() {
		p = s.Range.Masked()
	}
	first, last = p.Addr(), lastAddress(p)
	if first == s.Prefix.Addr() {
		first = first.Next() // the subnet itself
	}
	if last.Is4() && last == lastAddress(s.Prefix) {
		last = last.Prev() // broadcast
	}
	return first, last
}

func lastAddress(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(a)*8; bit++ {
		a[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(a)
	return last
}
