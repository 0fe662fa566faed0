package netbridge

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"compose/netbridge/rtnl"

	"golang.org/x/sys/unix"
)

// bridgeIndex returns the index of an interface of the host, or 0.
func (m *Manager) bridgeIndex(name string) int {
	r, err := m.interfaceQuery(unix.SIOCGIFINDEX, name)
	if err != nil {
		return 0
	}
	return int(r.Uint32())
}

// bridgeUp says whether a bridge is there, complete: going up is the last
// thing that makeBridge has it do.
func (m *Manager) bridgeUp(name string) bool {
	r, err := m.interfaceQuery(unix.SIOCGIFFLAGS, name)
	return err == nil && r.Uint16()&unix.IFF_UP != 0
}

func (m *Manager) interfaceQuery(request uint, name string) (*unix.Ifreq, error) {
	if _, err := m.netlink(); err != nil {
		return nil, err
	}
	r, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	return r, unix.IoctlIfreq(m.query, request, r)
}

// makeBridge makes the bridge of a network, its addresses and its sysctls.
func (m *Manager) makeBridge(n *Network) error {
	mtu, err := n.mtu()
	if err != nil {
		return err
	}
	s, err := m.netlink()
	if err != nil {
		return err
	}
	if err := m.removeBridge(n.Bridge); err != nil { // half-made before a crash
		return err
	}
	mac, err := randomMAC()
	if err != nil {
		return err
	}
	b := new(rtnl.Batch)
	b.AddBridge(rtnl.Bridge{Name: n.Bridge, MAC: mac, MTU: mtu, Group: bridgeGroup})
	if err := s.Run(b); err != nil {
		return fmt.Errorf("make the bridge %s: %w", n.Bridge, err)
	}
	index := m.bridgeIndex(n.Bridge)
	if index == 0 {
		return fmt.Errorf("bridge %s vanished while it was made", n.Bridge)
	}
	return m.host.run(func() error {
		if !n.EnableIPv6 {
			// No IPv6 in the kernel at all is as good.
			_ = setSysctl("ipv6/conf/"+n.Bridge+"/disable_ipv6", "1")
		}
		if !n.Internal {
			if err := enableForwarding(n.EnableIPv6); err != nil {
				return err
			}
		}
		if err := setSysctl("ipv4/conf/"+n.Bridge+"/route_localnet", "1"); err != nil {
			return fmt.Errorf("let the bridge %s carry published loopback ports: %w", n.Bridge, err)
		}
		b := new(rtnl.Batch)
		for i := range n.Subnets {
			if sub := &n.Subnets[i]; n.hostAddress(sub) {
				b.AddAddress(index, netip.PrefixFrom(sub.Gateway, sub.Prefix.Bits()))
			}
		}
		b.Up(index)
		if err := s.Run(b); err != nil {
			return fmt.Errorf("give the bridge %s its addresses: %w", n.Bridge, err)
		}
		return nil
	})
}

// enableForwarding makes the host a router, which it must be for a container
// to reach anything beyond it.
func enableForwarding(ipv6 bool) error {
	if err := setSysctl("ipv4/ip_forward", "1"); err != nil {
		return fmt.Errorf("enable IPv4 forwarding: %w", err)
	}
	if !ipv6 {
		return nil
	}
	// A router ignores router advertisements unless told otherwise (2); what
	// the host configured itself by must go on.
	if on, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/forwarding"); err == nil && strings.TrimSpace(string(on)) == "0" {
		accept, _ := filepath.Glob("/proc/sys/net/ipv6/conf/*/accept_ra")
		for _, path := range accept {
			if v, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(v)) == "1" {
				_ = os.WriteFile(path, []byte("2"), 0)
			}
		}
	}
	if err := setSysctl("ipv6/conf/all/forwarding", "1"); err != nil {
		return fmt.Errorf("enable IPv6 forwarding: %w", err)
	}
	return nil
}

// removeBridge removes a bridge with the ports that are still on their way
// out: a container's interfaces go with its namespace, which takes the kernel
// a moment.
func (m *Manager) removeBridge(name string) error {
	s, err := m.netlink()
	if err != nil {
		return err
	}
	index := m.bridgeIndex(name)
	if index == 0 {
		return nil
	}
	if !strings.HasPrefix(name, "cb"+m.tag) {
		if own, err := m.ownBridge(s, name); err != nil || !own {
			return err
		}
	}
	ports, err := s.Links(index)
	if err != nil {
		return fmt.Errorf("list the ports of the bridge %s: %w", name, err)
	}
	b := new(rtnl.Batch)
	if m.ownPorts(ports, index) {
		// In one go: the kernel waits out its readers for each message that
		// deletes something, and that is all that it takes long over.
		b.SetGroup(name, portGroup(index))
		b.DeleteGroup(portGroup(index))
	} else {
		b.DeleteLink(name)
	}
	results, err := s.Do(b)
	if err != nil {
		return err
	}
	for _, err := range results {
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("delete the bridge %s: %w", name, err)
		}
	}
	return nil
}

// bridgeGroup marks a bridge as made here, which its name does not say where
// the user has chosen it.
const bridgeGroup = 0xcbffffff

func (m *Manager) ownBridge(s *rtnl.Socket, name string) (bool, error) {
	all, err := s.Links(0)
	if err != nil {
		return false, fmt.Errorf("list the host's interfaces: %w", err)
	}
	for _, l := range all {
		if l.Name == name {
			// The second is that of a removal which the kernel refused.
			return l.Group == bridgeGroup || l.Group == portGroup(l.Index), nil
		}
	}
	return false, nil
}

// ownPorts says whether any of the ports is in the bridge's group.
func (m *Manager) ownPorts(ports []rtnl.Link, bridge int) bool {
	return slices.ContainsFunc(ports, func(p rtnl.Link) bool {
		return p.Group == portGroup(bridge) && strings.HasPrefix(p.Name, "cv"+m.tag)
	})
}

// portGroup is the interface group of a bridge's ports, by which the kernel
// can delete them all at once, and the bridge with them. Nobody else's groups
// are that high.
func portGroup(bridge int) uint32 { return 0xcb<<24 | uint32(bridge)&0xffffff }

func randomMAC() (net.HardwareAddr, error) {
	mac := make(net.HardwareAddr, 6)
	if _, err := rand.Read(mac); err != nil {
		return nil, err
	}
	mac[0] = mac[0]&^1 | 2 // one interface's, locally administered
	return mac, nil
}

// addressMAC derives a MAC address from the end of an IP address, so that
// whoever gets the address again is found by those who remember it.
func addressMAC(a netip.Addr) net.HardwareAddr {
	b := a.As16() // an IPv4 address is at the end
	return append(net.HardwareAddr{0x02, 0x42}, b[12:]...)
}
