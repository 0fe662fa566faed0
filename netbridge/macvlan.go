package netbridge

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"compose/internal/objectname"
	"compose/netbridge/rtnl"
)

// A macvlan network has no bridge: each container has an interface of its own
// on the wire of one of the host's, its parent. The host neither carries nor
// filters its packets. Without a parent the containers share a wire that leads
// nowhere.

// nameBridge decides which interface of the host stands for a network.
func (m *Manager) nameBridge(n *Network) error {
	for {
		// What goes into 15 bytes with the letter of a pair's other end.
		n.Bridge = "cb" + m.tag + n.ID[:6]
		if m.bridgeIndex(n.Bridge) == 0 {
			break
		}
		// Up, it would be taken for this network's own, and the two were one.
		n.ID = objectname.NewID()
	}
	name := n.Options[optionBridge]
	if n.Driver == "macvlan" {
		name = n.Options[optionParent]
	}
	if name == "" {
		return nil
	}
	n.Bridge = name
	if n.Driver == "bridge" {
		if m.bridgeIndex(name) != 0 {
			return fmt.Errorf("there is an interface %s on this host already; choose another %s", name, optionBridge)
		}
		return nil
	}
	others, err := m.Networks()
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.Driver != "macvlan" || o.Bridge != name {
			continue
		}
		if n.Options[optionMacvlanMode] == "passthru" || o.Options[optionMacvlanMode] == "passthru" {
			return fmt.Errorf("cannot use mode passthru, macvlan network %s is already using parent interface %s", o.Name, name)
		}
	}
	return nil
}

// ownParent says that the parent leads nowhere and was made for the network.
func (n *Network) ownParent() bool { return n.Options[optionParent] == "" }

// makeParent sees to it that a macvlan network's parent is there.
func (m *Manager) makeParent(n *Network) error {
	if !n.ownParent() {
		if m.bridgeIndex(n.Bridge) == 0 {
			return fmt.Errorf("there is no interface %s on this host to be the parent of a macvlan; make it first (a VLAN: ip link add link eth0 name eth0.10 type vlan id 10), or name another", n.Bridge)
		}
		return fmt.Errorf("the interface %s, the parent of a macvlan, is down; take it up first: ip link set %s up", n.Bridge, n.Bridge)
	}
	mtu, err := n.mtu()
	if err != nil {
		return err
	}
	s, err := m.netlink()
	if err != nil {
		return err
	}
	if err := m.deletePair(n); err != nil { // half-made before a crash
		return err
	}
	// A pair, because a macvlan has a line only where its parent has one.
	b := new(rtnl.Batch)
	b.AddPair(n.Bridge, otherEnd(n.Bridge), mtu)
	b.Settle(n.Bridge)
	if err := s.Run(b); err != nil {
		return fmt.Errorf("make the interface %s: %w", n.Bridge, err)
	}
	return nil
}

func otherEnd(name string) string { return name + "p" }

func (m *Manager) deletePair(n *Network) error {
	if m.bridgeIndex(n.Bridge) == 0 {
		return nil
	}
	s, err := m.netlink()
	if err != nil {
		return err
	}
	b := new(rtnl.Batch)
	b.DeleteLink(n.Bridge)
	if err := s.Run(b); err != nil {
		return fmt.Errorf("delete the interface %s: %w", n.Bridge, err)
	}
	return nil
}

// dropParent removes what a macvlan network has on the host.
func (m *Manager) dropParent(n *Network) error {
	if n.ownParent() && strings.HasPrefix(n.Bridge, "cb"+m.tag) {
		if err := m.deletePair(n); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(m.runNetwork(n.ID)); err != nil {
		return err
	}
	_ = os.Remove(filepath.Join(m.roots.Run, "networks"))
	return nil
}

// addMacvlans makes the macvlans among the endpoints planned.
func (s *Sandbox) addMacvlans(inside, host *rtnl.Socket, plans []*endpointPlan) error {
	for i, p := range plans {
		if p.veth == "" {
			if err := s.addMacvlan(inside, host, p, i+2); err != nil {
				return err
			}
		}
	}
	return nil
}

// addMacvlan makes one macvlan, from the host's side, where the parent is, and
// takes it up. The kernel refuses that while another one on the parent has the
// MAC address: the interface of a container that died without a word is on its
// way out with its namespace.
func (s *Sandbox) addMacvlan(inside, host *rtnl.Socket, p *endpointPlan, index int) error {
	mode := map[string]uint32{
		"private": rtnl.MacvlanPrivate, "vepa": rtnl.MacvlanVEPA, "passthru": rtnl.MacvlanPassthru,
	}[p.network.Options[optionMacvlanMode]]
	if mode == 0 {
		mode = rtnl.MacvlanBridge
	}
	b := new(rtnl.Batch)
	b.AddMacvlan(rtnl.Macvlan{
		Name: p.endpoint.Interface, Index: index, MAC: p.mac, MTU: p.mtu,
		Parent: p.bridge, Mode: mode, NS: int(s.ns.Fd()),
	})
	if err := host.Run(b); err != nil {
		return fmt.Errorf("make its macvlan on %s: %w", p.network.Bridge, err)
	}
	link, err := net.InterfaceByName(p.endpoint.Interface)
	if err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		b := new(rtnl.Batch)
		b.Up(link.Index)
		err := inside.Run(b)
		if errors.Is(err, unix.EADDRINUSE) && attempt < 200 {
			time.Sleep(25 * time.Millisecond)
			continue
		}
		if err != nil {
			return fmt.Errorf("take up its macvlan on %s, with the MAC address %s: %w", p.network.Bridge, p.mac, err)
		}
		return nil
	}
}

// deleteMacvlans takes macvlans away at once: with the namespace they would go
// in the kernel's own time and keep their MAC addresses until then.
func (s *Sandbox) deleteMacvlans(endpoints ...endpointHolder) error {
	b := new(rtnl.Batch)
	for _, e := range endpoints {
		if e.Direct {
			b.DeleteLink(e.Interface)
		}
	}
	if b.Len() == 0 || s.ns == nil {
		return nil
	}
	return (&hostNS{file: s.ns}).run(func() error {
		inside, err := rtnl.Open()
		if err != nil {
			return err
		}
		defer inside.Close()
		_, err = inside.Do(b) // one that is gone or has another name by now is the container's doing
		return err
	})
}
