package netbridge

import (
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Registers: 1 is 16 bytes long and the same as the 4-byte ones from reg32.
const (
	reg   = 1
	reg32 = unix.NFT_REG32_00
)

type exprs = []expr.Any

func addChains(b *nftBatch, t *nftables.Table, s *sets) {
	chain := func(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority nftables.ChainPriority) *nftables.Chain {
		return b.addChain(&nftables.Chain{Name: name, Table: t, Type: kind, Hooknum: hook, Priority: &priority})
	}
	rule := func(ch *nftables.Chain, parts ...exprs) {
		var all exprs
		for _, p := range parts {
			all = append(all, p...)
		}
		b.addRule(&nftables.Rule{Table: t, Chain: ch, Exprs: all})
	}

	// A container has no business with the host's loopback addresses. The
	// bridges accept them (route_localnet) only for the way back of packets
	// that the host itself sent from there, which bear another address here.
	guard := chain("guard", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, -300)
	rule(guard, iif(s.bridges, false), ipv4(), loopback(16), verdict(expr.VerdictDrop))
	rule(guard, iif(s.bridges, false), ipv4(), loopback(12), verdict(expr.VerdictDrop))

	// Before everybody else's filter (priority 0), so that what we drop is
	// dropped also where another program's chain would let it pass.
	forward := chain("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, -10)
	rule(forward, sameBridge(s.local), verdict(expr.VerdictAccept))
	rule(forward, sameBridge(s.apart), verdict(expr.VerdictDrop))
	rule(forward, iif(s.internal, false), verdict(expr.VerdictDrop))
	rule(forward, oif(s.internal, false), verdict(expr.VerdictDrop))
	rule(forward, established(), verdict(expr.VerdictAccept))
	rule(forward, oif(s.bridges, false), ipv4(), opened(s.open4, 16, 4), verdict(expr.VerdictAccept))
	rule(forward, oif(s.bridges, false), ipv6(), opened(s.open6, 24, 16), verdict(expr.VerdictAccept))
	rule(forward, oif(s.bridges, false), notPublished(), verdict(expr.VerdictDrop))

	publish := b.addChain(&nftables.Chain{Name: "publish", Table: t})
	rule(publish, ipv4(), portLookup(s.ports4, 16, 4, false), dnat(unix.NFPROTO_IPV4, reg32+1))
	rule(publish, ipv4(), portLookup(s.ports4, 16, 4, true), dnat(unix.NFPROTO_IPV4, reg32+1))
	rule(publish, ipv6(), portLookup(s.ports6, 24, 16, false), dnat(unix.NFPROTO_IPV6, reg32+4))
	rule(publish, ipv6(), portLookup(s.ports6, 24, 16, true), dnat(unix.NFPROTO_IPV6, reg32+4))
	jump := exprs{&expr.Verdict{Kind: expr.VerdictJump, Chain: publish.Name}}

	// From outside nothing may reach what is published on 127.0.0.1: the check
	// for such packets comes after this hook and would see the new address.
	prerouting := chain("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, -100)
	rule(prerouting, ipv4(), loopback(16), verdict(expr.VerdictReturn))
	rule(prerouting, toHost(), jump)
	output := chain("output", nftables.ChainTypeNAT, nftables.ChainHookOutput, -100)
	rule(output, ipv6(), loopback6(), verdict(expr.VerdictReturn)) // the proxy's: the kernel routes ::1 nowhere
	rule(output, toHost(), jump)

	postrouting := chain("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, 100)
	rule(postrouting, hairpin(s.hairpin4, ipv4(), 12, 4), exprs{&expr.Masq{}})
	rule(postrouting, hairpin(s.hairpin6, ipv6(), 8, 16), exprs{&expr.Masq{}})
	rule(postrouting, ipv4(), source(s.masq4, 12, 4), oif(s.bridges, true), exprs{&expr.Masq{}})
	rule(postrouting, ipv6(), source(s.masq6, 8, 16), oif(s.bridges, true), exprs{&expr.Masq{}})
}

func verdict(kind expr.VerdictKind) exprs { return exprs{&expr.Verdict{Kind: kind}} }

func meta(key expr.MetaKey, register uint32) expr.Any {
	return &expr.Meta{Key: key, Register: register}
}

func lookup(s *nftables.Set, register uint32, invert bool) expr.Any {
	return &expr.Lookup{SourceRegister: register, SetName: s.Name, SetID: s.ID, Invert: invert}
}

func network(offset, size, register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size}
}

func iif(s *nftables.Set, invert bool) exprs {
	return exprs{meta(expr.MetaKeyIIFNAME, reg), lookup(s, reg, invert)}
}

func oif(s *nftables.Set, invert bool) exprs {
	return exprs{meta(expr.MetaKeyOIFNAME, reg), lookup(s, reg, invert)}
}

func sameBridge(s *nftables.Set) exprs {
	return exprs{meta(expr.MetaKeyIIFNAME, reg), meta(expr.MetaKeyOIFNAME, reg+1), lookup(s, reg, false)}
}

func family(proto byte) exprs {
	return exprs{meta(expr.MetaKeyNFPROTO, reg), &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: []byte{proto}}}
}

func ipv4() exprs { return family(unix.NFPROTO_IPV4) }
func ipv6() exprs { return family(unix.NFPROTO_IPV6) }

// loopback matches 127.0.0.0/8 as destination (offset 16) or source (12).
func loopback(offset uint32) exprs {
	return exprs{network(offset, 1, reg), &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: []byte{127}}}
}

func loopback6() exprs {
	return exprs{network(24, 16, reg), &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: append(make([]byte, 15), 1)}}
}

func conntrack(key expr.CtKey, mask uint32, op expr.CmpOp) exprs {
	m := binary.NativeEndian.AppendUint32(nil, mask)
	zero := make([]byte, 4)
	return exprs{
		&expr.Ct{Key: key, Register: reg},
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 4, Mask: m, Xor: zero},
		&expr.Cmp{Op: op, Register: reg, Data: zero},
	}
}

func established() exprs {
	return conntrack(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED, expr.CmpOpNeq)
}

const ipsDstNAT = 1 << 5 // IPS_DST_NAT

// notPublished matches packets that nobody sent to an address of the host first.
func notPublished() exprs { return conntrack(expr.CtKeySTATUS, ipsDstNAT, expr.CmpOpEq) }

// toHost matches packets to an address that is the host's own.
func toHost() exprs {
	return exprs{
		&expr.Fib{Register: reg, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: binary.NativeEndian.AppendUint32(nil, unix.RTN_LOCAL)},
	}
}

// portLookup leaves the container's address and port of a published port in
// the registers, or ends the rule.
func portLookup(s *nftables.Set, offset, size uint32, every bool) exprs {
	e := exprs{
		meta(expr.MetaKeyL4PROTO, reg32),
		&expr.Payload{DestRegister: reg32 + 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
	}
	if every {
		e = append(e, &expr.Immediate{Register: reg32 + 2, Data: make([]byte, size)})
	} else {
		e = append(e, network(offset, size, reg32+2))
	}
	return append(e, &expr.Lookup{SourceRegister: reg32, DestRegister: reg, IsDestRegSet: true, SetName: s.Name, SetID: s.ID})
}

// opened matches packets to a port that is open at the container's own address.
func opened(s *nftables.Set, offset, size uint32) exprs {
	return exprs{
		meta(expr.MetaKeyL4PROTO, reg32),
		&expr.Payload{DestRegister: reg32 + 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		network(offset, size, reg32+2),
		lookup(s, reg32, false),
	}
}

func dnat(family, portRegister uint32) exprs {
	return exprs{&expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: reg, RegProtoMin: portRegister}}
}

// hairpin matches packets to a published port whose source the container would
// answer past us: one on its own network, or the host's loopback.
func hairpin(s *nftables.Set, family exprs, offset, size uint32) exprs {
	e := append(family, conntrack(expr.CtKeySTATUS, ipsDstNAT, expr.CmpOpNeq)...)
	return append(e, meta(expr.MetaKeyOIFNAME, reg), network(offset, size, reg32+4), lookup(s, reg, false))
}

func source(s *nftables.Set, offset, size uint32) exprs {
	return exprs{network(offset, size, reg), lookup(s, reg, false)}
}
