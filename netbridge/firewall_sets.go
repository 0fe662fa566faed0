package netbridge

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// sets are the sets and maps of the table.
type sets struct {
	bridges  *nftables.Set // our bridges
	internal *nftables.Set // those of internal networks
	local    *nftables.Set // bridge . the same bridge: traffic inside one network
	apart    *nftables.Set // likewise, of networks whose containers do not reach each other
	masq4    *nftables.Set // subnets that leave the host under its address
	masq6    *nftables.Set
	hairpin4 *nftables.Set // bridge . sources that its containers could not answer directly
	hairpin6 *nftables.Set
	ports4   *nftables.Set // protocol . host port . host address -> address . port
	ports6   *nftables.Set
	open4    *nftables.Set // protocol . port . a container's address, where nothing is translated
	open6    *nftables.Set
}

func newSets(t *nftables.Table) *sets {
	name, v4, v6 := nftables.TypeIFName, nftables.TypeIPAddr, nftables.TypeIP6Addr
	concat := nftables.MustConcatSetType
	ports := func(name string, addr nftables.SetDatatype) *nftables.Set {
		return &nftables.Set{
			Table: t, Name: name, IsMap: true, Concatenation: true,
			KeyType:  concat(nftables.TypeInetProto, nftables.TypeInetService, addr),
			DataType: concat(addr, nftables.TypeInetService),
		}
	}
	open := func(name string, addr nftables.SetDatatype) *nftables.Set {
		return &nftables.Set{
			Table: t, Name: name, Concatenation: true,
			KeyType: concat(nftables.TypeInetProto, nftables.TypeInetService, addr),
		}
	}
	return &sets{
		bridges:  &nftables.Set{Table: t, Name: "bridges", KeyType: name},
		internal: &nftables.Set{Table: t, Name: "internal", KeyType: name},
		local:    &nftables.Set{Table: t, Name: "local", KeyType: concat(name, name), Concatenation: true},
		apart:    &nftables.Set{Table: t, Name: "apart", KeyType: concat(name, name), Concatenation: true},
		masq4:    &nftables.Set{Table: t, Name: "masquerade4", KeyType: v4, Interval: true},
		masq6:    &nftables.Set{Table: t, Name: "masquerade6", KeyType: v6, Interval: true},
		hairpin4: &nftables.Set{Table: t, Name: "hairpin4", KeyType: concat(name, v4), Concatenation: true, Interval: true},
		hairpin6: &nftables.Set{Table: t, Name: "hairpin6", KeyType: concat(name, v6), Concatenation: true, Interval: true},
		ports4:   ports("ports4", v4),
		ports6:   ports("ports6", v6),
		open4:    open("open4", v4),
		open6:    open("open6", v6),
	}
}

func (s *sets) all() []*nftables.Set {
	return []*nftables.Set{s.bridges, s.internal, s.local, s.apart, s.masq4, s.masq6, s.hairpin4, s.hairpin6, s.ports4, s.ports6, s.open4, s.open6}
}

// network adds or deletes (by) everything that the sets hold of a network.
func (s *sets) network(by elementsFunc, n *Network) {
	bridge := ifname(n.Bridge)
	type change struct {
		set      *nftables.Set
		elements []nftables.SetElement
	}
	changes := []change{
		{s.bridges, []nftables.SetElement{{Key: bridge}}},
	}
	within := s.local
	if !n.on(optionICC, true) {
		within = s.apart
	}
	changes = append(changes, change{within, []nftables.SetElement{{Key: append(ifname(n.Bridge), bridge...)}}})
	if n.Internal {
		changes = append(changes, change{s.internal, []nftables.SetElement{{Key: bridge}}})
	} else {
		loopback := Subnet{Prefix: netip.MustParsePrefix("127.0.0.0/8")}
		for _, sub := range append([]Subnet{loopback}, n.Subnets...) {
			hairpin, masq := s.hairpin4, s.masq4
			if sub.Prefix.Addr().Is6() {
				hairpin, masq = s.hairpin6, s.masq6
			}
			first, last := sub.Prefix.Masked().Addr(), lastAddress(sub.Prefix)
			changes = append(changes, change{hairpin, []nftables.SetElement{{
				Key:    append(ifname(n.Bridge), first.AsSlice()...),
				KeyEnd: append(ifname(n.Bridge), last.AsSlice()...),
			}}})
			if sub.Prefix != loopback.Prefix && n.on(optionMasquerade, true) && n.gatewayMode(sub.Prefix.Addr()) != gatewayRouted {
				changes = append(changes, change{masq, []nftables.SetElement{
					{Key: first.AsSlice()}, {Key: last.Next().AsSlice(), IntervalEnd: true},
				}})
			}
		}
	}
	for _, c := range changes {
		by(c.set, c.elements)
	}
}

// ports adds or deletes (by) published ports.
func (s *sets) ports(by elementsFunc, ports []publication) {
	var four, six, open4, open6 []nftables.SetElement
	for _, p := range ports {
		if p.Open {
			e := nftables.SetElement{Key: append(portKey(p.Protocol, p.Port), p.Target.AsSlice()...)}
			if p.Target.Is4() {
				open4 = append(open4, e)
			} else {
				open6 = append(open6, e)
			}
			continue
		}
		e := nftables.SetElement{
			Key: append(portKey(p.Protocol, p.HostPort), p.HostIP.AsSlice()...),
			Val: append(p.Target.AsSlice(), padded(binary.BigEndian.AppendUint16(nil, p.Port))...),
		}
		if p.HostIP.Is4() {
			four = append(four, e)
		} else {
			six = append(six, e)
		}
	}
	for _, c := range []struct {
		set      *nftables.Set
		elements []nftables.SetElement
	}{{s.ports4, four}, {s.ports6, six}, {s.open4, open4}, {s.open6, open6}} {
		if len(c.elements) > 0 {
			by(c.set, c.elements)
		}
	}
}

func portKey(protocol string, port uint16) []byte {
	number := byte(unix.IPPROTO_TCP)
	if protocol == "udp" {
		number = unix.IPPROTO_UDP
	}
	return append(padded([]byte{number}), padded(binary.BigEndian.AppendUint16(nil, port))...)
}

// padded fills a field of a concatenation up to whole registers.
func padded(field []byte) []byte {
	for len(field)%4 != 0 {
		field = append(field, 0)
	}
	return field
}

func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}
