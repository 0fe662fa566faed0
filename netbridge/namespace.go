package netbridge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"compose/netbridge/rtnl"

	"golang.org/x/sys/unix"
)

// endpointPlan is an endpoint about to be made.
type endpointPlan struct {
	network  *Network
	bridge   int // index
	mtu      int
	mac      net.HardwareAddr
	veth     string
	endpoint Endpoint
	gateway6 netip.Addr
	priority int
}

// planEndpoint chooses everything about one endpoint. Where it fails after
// addresses were claimed, the plan returned holds them.
func (m *Manager) planEndpoint(ctx context.Context, containerID string, i int, want EndpointConfig) (*endpointPlan, error) {
	n, err := m.Network(want.Network)
	if err != nil {
		return nil, err
	}
	if !m.bridgeUp(n.Bridge) {
		if err := m.EnsureUp(ctx, n.Name); err != nil {
			return nil, err
		}
		if n, err = m.Network(want.Network); err != nil {
			return nil, err
		}
	}
	p := &endpointPlan{network: n, priority: want.Priority, veth: m.vethName(containerID, n.ID, 0)}
	p.endpoint = Endpoint{Network: n.Name, NetworkID: n.ID, Interface: "eth" + strconv.Itoa(i), Aliases: want.Aliases}
	if p.bridge = m.bridgeIndex(n.Bridge); p.bridge == 0 {
		return nil, fmt.Errorf("bridge %s of network %s is gone", n.Bridge, n.Name)
	}
	if p.mtu, err = n.mtu(); err != nil {
		return nil, err
	}
	if err := m.claimAddresses(p, containerID, want); err != nil {
		return p, err
	}
	p.mac = addressMAC(p.endpoint.IPv4)
	if want.MAC != "" {
		if p.mac, err = net.ParseMAC(want.MAC); err != nil || len(p.mac) != 6 || p.mac[0]&1 != 0 {
			return p, fmt.Errorf("mac_address %q is not the address of one Ethernet interface, e.g. 02:42:ac:11:00:02", want.MAC)
		}
	}
	p.endpoint.MAC = p.mac.String()
	return p, nil
}

// claimAddresses claims an address of each family the network has.
func (m *Manager) claimAddresses(p *endpointPlan, containerID string, want EndpointConfig) error {
	n, e := p.network, &p.endpoint
	err := m.withLeases(n.ID, func(t *leases) error {
		for i := range n.Subnets {
			sub := &n.Subnets[i]
			four := sub.Prefix.Addr().Is4()
			fixed, have := want.IPv6, e.IPv6
			if four {
				fixed, have = want.IPv4, e.IPv4
			}
			if have.IsValid() || (fixed.IsValid() && !sub.Prefix.Contains(fixed)) {
				continue
			}
			a, err := m.claim(t, n, sub, containerID, fixed)
			if err != nil {
				return err
			}
			if four {
				e.IPv4, e.IPv4Bits, e.Gateway = a, sub.Prefix.Bits(), sub.Gateway
			} else {
				e.IPv6, e.IPv6Bits, p.gateway6 = a, sub.Prefix.Bits(), sub.Gateway
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n.Internal {
		e.Gateway, p.gateway6 = netip.Addr{}, netip.Addr{}
	}
	if !e.IPv4.IsValid() {
		return fmt.Errorf("network %s has no subnet that contains the address %s", n.Name, want.IPv4)
	}
	if want.IPv6.IsValid() && !e.IPv6.IsValid() {
		return fmt.Errorf("network %s has no subnet that contains the address %s; is enable_ipv6 set?", n.Name, want.IPv6)
	}
	return nil
}

// vethName is the name of the host's end. Further attempts give others, for
// when the one before is still on its way out of the kernel.
func (m *Manager) vethName(containerID, networkID string, attempt int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", containerID, networkID, attempt))
	return "cv" + m.tag + hex.EncodeToString(sum[:])[:7]
}

// exit is the endpoint that the default route leaves by: the one with the
// highest priority, the first of equals, none that is internal.
func exit(plans []*endpointPlan) *endpointPlan {
	var best *endpointPlan
	for _, p := range plans {
		if !p.network.Internal && (best == nil || p.priority > best.priority) {
			best = p
		}
	}
	return best
}

// makeNamespace makes the namespace and fills it.
func (s *Sandbox) makeNamespace(plans []*endpointPlan) error {
	host, err := s.m.netlink()
	if err != nil {
		return err
	}
	s.m.making <- struct{}{}
	defer func() { <-s.m.making }()
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		var err error
		if s.ns, err = currentNS(); err != nil {
			return err
		}
		if !wantsIPv6(plans) {
			// Loopback keeps ::1. No IPv6 in the kernel at all is as good.
			_ = writeSysctl("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")
		}
		inside, err := rtnl.Open()
		if err != nil {
			return err
		}
		defer inside.Close()
		if err := s.addInterfaces(inside, host, plans); err != nil {
			return err
		}
		if len(plans) > 0 {
			if err := s.openResolver(); err != nil {
				return err
			}
			if err := redirectResolver(); err != nil {
				return err
			}
		}
		return applySysctls(s.cfg.Sysctls)
	})
}

func wantsIPv6(plans []*endpointPlan) bool {
	for _, p := range plans {
		if p.endpoint.IPv6.IsValid() {
			return true
		}
	}
	return false
}

// addInterfaces makes everything inside in one batch and makes the host's ends
// ports of their bridges in another.
func (s *Sandbox) addInterfaces(inside, host *rtnl.Socket, plans []*endpointPlan) error {
	for attempt := 0; ; attempt++ {
		results, err := inside.Do(s.insideBatch(plans))
		if err != nil {
			return err
		}
		err = errors.Join(results...)
		if err == nil {
			break
		}
		// What was made must go before its name inside is free again.
		undo := new(rtnl.Batch)
		taken := false
		for i, p := range plans {
			if results[1+i] == nil {
				undo.DeleteLink(p.endpoint.Interface)
			}
			taken = taken || errors.Is(results[1+i], unix.EEXIST)
		}
		if _, undone := inside.Do(undo); undone != nil || !taken || attempt == 8 {
			return fmt.Errorf("make its interfaces, addresses and routes: %w", err)
		}
		for i, p := range plans {
			p.veth = s.m.vethName(s.cfg.ContainerID, p.network.ID, attempt+1)
			s.record.Endpoints[i].Veth = p.veth
		}
		if err := s.m.writeSandbox(&s.record); err != nil {
			return err
		}
	}
	ports, ends := new(rtnl.Batch), new(rtnl.Batch)
	for _, p := range plans {
		ports.UpPort(p.veth, p.bridge)
		ports.Hairpin(p.veth)
		ports.Settle(p.veth)
		ends.Settle(p.endpoint.Interface)
	}
	if err := host.Run(ports); err != nil {
		return fmt.Errorf("connect it to its bridges: %w", err)
	}
	return inside.Run(ends)
}

// insideBatch takes loopback up, then makes the pairs, then addresses and the
// default routes.
func (s *Sandbox) insideBatch(plans []*endpointPlan) *rtnl.Batch {
	b := new(rtnl.Batch)
	b.Up(1)
	for i, p := range plans {
		b.AddVeth(rtnl.Veth{
			Name: p.endpoint.Interface, Index: i + 2, MAC: p.mac, MTU: p.mtu,
			PeerNS: int(s.m.host.file.Fd()), PeerName: p.veth, PeerGroup: portGroup(p.bridge),
		})
	}
	out := exit(plans)
	for i, p := range plans {
		b.AddAddress(i+2, netip.PrefixFrom(p.endpoint.IPv4, p.endpoint.IPv4Bits))
		if p.endpoint.IPv6.IsValid() {
			b.AddAddress(i+2, netip.PrefixFrom(p.endpoint.IPv6, p.endpoint.IPv6Bits))
		}
		if p != out {
			continue
		}
		b.AddDefaultRoute(i+2, p.endpoint.Gateway)
		if p.gateway6.IsValid() {
			b.AddDefaultRoute(i+2, p.gateway6)
		}
	}
	return b
}

// applySysctls writes net.* values in the calling thread's namespace.
func applySysctls(values map[string]string) error {
	for key, value := range values {
		rest, ok := strings.CutPrefix(key, "net.")
		path := strings.ReplaceAll(rest, ".", "/")
		if !ok || !filepath.IsLocal(path) {
			return fmt.Errorf("sysctl %s is not one of a network namespace (net.*)", key)
		}
		if err := os.WriteFile("/proc/sys/net/"+path, []byte(value), 0); err != nil {
			return fmt.Errorf("set sysctl %s to %q: %w", key, value, err)
		}
	}
	return nil
}
