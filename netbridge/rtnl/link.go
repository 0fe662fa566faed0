package rtnl

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

// Attributes that x/sys/unix does not name.
const (
	vethInfoPeer    = 1  // VETH_INFO_PEER
	brForwardDelay  = 1  // IFLA_BR_FORWARD_DELAY
	brportHairpin   = 4  // IFLA_BRPORT_MODE
	brportFlush     = 24 // IFLA_BRPORT_FLUSH
	brportLearning  = 8  // IFLA_BRPORT_LEARNING
	brportUnicast   = 9  // IFLA_BRPORT_UNICAST_FLOOD
	brportMulticast = 27 // IFLA_BRPORT_MCAST_FLOOD
	brportBroadcast = 30 // IFLA_BRPORT_BCAST_FLOOD
	brportIsolated  = 33 // IFLA_BRPORT_ISOLATED
	macvlanMode     = 1  // IFLA_MACVLAN_MODE
	inet6AddrGen    = 8  // IFLA_INET6_ADDR_GEN_MODE
	addrGenModeNone = 1  // IN6_ADDR_GEN_MODE_NONE
	skipStats       = 8  // RTEXT_FILTER_SKIP_STATS
	nlaTypeMask     = 0x3fff
)

// Bridge is a bridge to be made.
type Bridge struct {
	Name string
	MAC  net.HardwareAddr // fixed, so that it does not follow the ports
	MTU  int              // 0: the kernel's 1500

	Group uint32
}

// AddBridge makes a bridge, still down.
func (b *Batch) AddBridge(br Bridge) {
	b.message(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, ifinfo(unix.AF_UNSPEC, 0, 0, 0))
	b.attrString(unix.IFLA_IFNAME, br.Name)
	b.attr(unix.IFLA_ADDRESS, br.MAC)
	if br.MTU > 0 {
		b.attrU32(unix.IFLA_MTU, uint32(br.MTU))
	}
	b.attrU32(unix.IFLA_GROUP, br.Group)
	info := b.nest(unix.IFLA_LINKINFO)
	b.attrString(unix.IFLA_INFO_KIND, "bridge")
	data := b.nest(unix.IFLA_INFO_DATA)
	b.attrU32(brForwardDelay, 0)
	data()
	info()
}

// Veth is a pair to be made: one end in the socket's own namespace, up, the
// other in another one and still down. (The kernel can only take up the end
// that is made last.)
type Veth struct {
	Name  string
	Index int // chosen by the caller, so that nobody need ask for it
	MAC   net.HardwareAddr
	MTU   int

	PeerNS    int // descriptor of the other namespace
	PeerName  string
	PeerGroup uint32
}

// AddVeth makes a pair.
func (b *Batch) AddVeth(v Veth) {
	b.message(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, ifinfo(unix.AF_UNSPEC, v.Index, unix.IFF_UP, unix.IFF_UP))
	b.attrString(unix.IFLA_IFNAME, v.Name)
	b.attr(unix.IFLA_ADDRESS, v.MAC)
	b.attrU32(unix.IFLA_MTU, uint32(v.MTU))
	info := b.nest(unix.IFLA_LINKINFO)
	b.attrString(unix.IFLA_INFO_KIND, "veth")
	data := b.nest(unix.IFLA_INFO_DATA)
	peer := b.nest(vethInfoPeer)
	b.buf = append(b.buf, ifinfo(unix.AF_UNSPEC, 0, 0, 0)...)
	b.attrString(unix.IFLA_IFNAME, v.PeerName)
	b.attrU32(unix.IFLA_GROUP, v.PeerGroup)
	b.attrU32(unix.IFLA_MTU, uint32(v.MTU))
	b.attrU32(unix.IFLA_NET_NS_FD, uint32(v.PeerNS))
	peer()
	data()
	info()
}

// UpPort makes the named interface a port of a bridge and takes it up, without
// an IPv6 address of its own. The kernel takes an interface up before it looks
// at what the same message says of addresses, so that takes two: the address's
// routes would make each further port slower than the one before.
func (b *Batch) UpPort(name string, master int) {
	b.noAddress(name)
	b.message(unix.RTM_NEWLINK, 0, ifinfo(unix.AF_UNSPEC, 0, unix.IFF_UP, unix.IFF_UP))
	b.attrString(unix.IFLA_IFNAME, name)
	b.attrU32(unix.IFLA_MASTER, uint32(master))
}

// noAddress has an interface get no IPv6 address of itself. A kernel without
// IPv6 has nothing to do for that.
func (b *Batch) noAddress(name string) {
	b.optional = append(b.optional, b.Len())
	b.message(unix.RTM_NEWLINK, 0, ifinfo(unix.AF_UNSPEC, 0, 0, 0))
	b.attrString(unix.IFLA_IFNAME, name)
	spec := b.nest(unix.IFLA_AF_SPEC)
	inet6 := b.nest(unix.AF_INET6)
	b.attrU8(inet6AddrGen, addrGenModeNone)
	inet6()
	spec()
}

// Hairpin lets a bridge port send a frame back out of the port it came from,
// which a container that calls its own published port needs where bridged
// traffic passes netfilter.
func (b *Batch) Hairpin(name string) {
	b.port(name, func() { b.attrU8(brportHairpin, 1) })
}

// Isolate keeps a bridge port and the others that are isolated apart.
func (b *Batch) Isolate(name string) {
	b.port(name, func() { b.attrU8(brportIsolated, 1) })
}

// Mute keeps everything from what is behind a bridge port: the bridge forgets
// whom it saw there, learns nothing new and floods nothing to it. Unlike
// deleting the interface it waits for no grace period. (A port cannot be
// disabled for good: the kernel enables it again with the next notification.)
func (b *Batch) Mute(name string) {
	b.port(name, func() {
		for _, flag := range []uint16{brportLearning, brportUnicast, brportMulticast, brportBroadcast} {
			b.attrU8(flag, 0)
		}
		b.attr(brportFlush, nil)
	})
}

func (b *Batch) port(name string, attrs func()) {
	b.message(unix.RTM_NEWLINK, 0, ifinfo(unix.AF_UNSPEC, 0, 0, 0))
	b.attrString(unix.IFLA_IFNAME, name)
	info := b.nest(unix.IFLA_LINKINFO)
	b.attrString(unix.IFLA_INFO_SLAVE_KIND, "bridge")
	data := b.nest(unix.IFLA_INFO_SLAVE_DATA)
	attrs()
	data()
	info()
}

// Macvlan is an interface to be made in another namespace, still down, that
// shares one of the socket's own.
type Macvlan struct {
	Name   string
	Index  int // chosen by the caller; 0: by the kernel
	MAC    net.HardwareAddr
	MTU    int // 0: the parent's
	Parent int // index
	Mode   uint32
	NS     int // descriptor of the namespace
}

// The modes of a Macvlan.
const (
	MacvlanPrivate  = 1
	MacvlanVEPA     = 2
	MacvlanBridge   = 4
	MacvlanPassthru = 8
)

// AddMacvlan makes a macvlan.
func (b *Batch) AddMacvlan(v Macvlan) {
	b.message(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, ifinfo(unix.AF_UNSPEC, v.Index, 0, 0))
	b.attrString(unix.IFLA_IFNAME, v.Name)
	b.attr(unix.IFLA_ADDRESS, v.MAC)
	if v.MTU > 0 {
		b.attrU32(unix.IFLA_MTU, uint32(v.MTU))
	}
	b.attrU32(unix.IFLA_LINK, uint32(v.Parent))
	b.attrU32(unix.IFLA_NET_NS_FD, uint32(v.NS))
	info := b.nest(unix.IFLA_LINKINFO)
	b.attrString(unix.IFLA_INFO_KIND, "macvlan")
	data := b.nest(unix.IFLA_INFO_DATA)
	b.attrU32(macvlanMode, v.Mode)
	data()
	info()
}

// AddPair makes a pair of interfaces in the socket's own namespace, joined by
// a line that is always there, and takes both up.
func (b *Batch) AddPair(name, peer string, mtu int) {
	b.message(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, ifinfo(unix.AF_UNSPEC, 0, 0, 0))
	b.attrString(unix.IFLA_IFNAME, name)
	b.attrU32(unix.IFLA_MTU, uint32(mtu))
	info := b.nest(unix.IFLA_LINKINFO)
	b.attrString(unix.IFLA_INFO_KIND, "veth")
	data := b.nest(unix.IFLA_INFO_DATA)
	end := b.nest(vethInfoPeer)
	b.buf = append(b.buf, ifinfo(unix.AF_UNSPEC, 0, 0, 0)...)
	b.attrString(unix.IFLA_IFNAME, peer)
	b.attrU32(unix.IFLA_MTU, uint32(mtu))
	end()
	data()
	info()
	for _, end := range []string{peer, name} {
		b.message(unix.RTM_NEWLINK, 0, ifinfo(unix.AF_UNSPEC, 0, unix.IFF_UP, unix.IFF_UP))
		b.attrString(unix.IFLA_IFNAME, end)
	}
}

// Up takes the interface with that index up.
func (b *Batch) Up(index int) {
	b.message(unix.RTM_NEWLINK, 0, ifinfo(unix.AF_UNSPEC, index, unix.IFF_UP, unix.IFF_UP))
}

// Settle makes the kernel act now on a carrier that has just come up (since
// Linux 6.8), by asking for the interface's state. It would otherwise do so a
// moment later and drop what is sent before.
func (b *Batch) Settle(name string) {
	b.message(unix.RTM_GETLINK, 0, ifinfo(unix.AF_UNSPEC, 0, 0, 0))
	b.attrString(unix.IFLA_IFNAME, name)
	b.attrU32(unix.IFLA_EXT_MASK, skipStats)
}

// DeleteLink deletes an interface by name.
func (b *Batch) DeleteLink(name string) {
	b.message(unix.RTM_DELLINK, 0, ifinfo(unix.AF_UNSPEC, 0, 0, 0))
	b.attrString(unix.IFLA_IFNAME, name)
}

// SetGroup moves an interface to a group.
func (b *Batch) SetGroup(name string, group uint32) {
	b.message(unix.RTM_NEWLINK, 0, ifinfo(unix.AF_UNSPEC, 0, 0, 0))
	b.attrString(unix.IFLA_IFNAME, name)
	b.attrU32(unix.IFLA_GROUP, group)
}

// DeleteGroup deletes every interface of a group at once.
func (b *Batch) DeleteGroup(group uint32) {
	b.message(unix.RTM_DELLINK, 0, ifinfo(unix.AF_UNSPEC, 0, 0, 0))
	b.attrU32(unix.IFLA_GROUP, group)
}

// Link is an interface that exists.
type Link struct {
	Index  int
	Name   string
	Master int
	Group  uint32
	Kind   string
	Up     bool
	MTU    int
}

// Links lists the interfaces; master, unless 0, keeps only the ports of that bridge.
func (s *Socket) Links(master int) ([]Link, error) {
	var links []Link
	err := s.dump(unix.RTM_GETLINK, ifinfo(unix.AF_UNSPEC, 0, 0, 0), func(b *Batch) {
		if master != 0 {
			b.attrU32(unix.IFLA_MASTER, uint32(master))
		}
	}, func(body []byte) {
		if l := parseLink(body); master == 0 || l.Master == master {
			links = append(links, l)
		}
	})
	return links, err
}

func parseLink(body []byte) Link {
	l := Link{
		Index: int(int32(binary.NativeEndian.Uint32(body[4:]))),
		Up:    binary.NativeEndian.Uint32(body[8:])&unix.IFF_UP != 0,
	}
	attributes(body[unix.SizeofIfInfomsg:], func(kind uint16, data []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name = text(data)
		case unix.IFLA_MASTER:
			l.Master = int(binary.NativeEndian.Uint32(data))
		case unix.IFLA_GROUP:
			l.Group = binary.NativeEndian.Uint32(data)
		case unix.IFLA_MTU:
			l.MTU = int(binary.NativeEndian.Uint32(data))
		case unix.IFLA_LINKINFO:
			attributes(data, func(kind uint16, data []byte) {
				if kind == unix.IFLA_INFO_KIND {
					l.Kind = text(data)
				}
			})
		}
	})
	return l
}

func text(data []byte) string {
	for len(data) > 0 && data[len(data)-1] == 0 {
		data = data[:len(data)-1]
	}
	return string(data)
}

func attributes(data []byte, fn func(kind uint16, data []byte)) {
	for len(data) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(data))
		if size < unix.SizeofRtAttr || size > len(data) {
			return
		}
		fn(binary.NativeEndian.Uint16(data[2:])&nlaTypeMask, data[unix.SizeofRtAttr:size])
		data = data[min((size+3)&^3, len(data)):]
	}
}
