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
	"slices"
	"strings"

	"compose/internal/filelock"
	"compose/internal/trace"
	"compose/netbridge/rtnl"

	"golang.org/x/sys/unix"
)

// endpointPlan is an endpoint about to be made.
type endpointPlan struct {
	network   *Network
	bridge    int // index
	mtu       int
	mac       net.HardwareAddr
	veth      string // "": a macvlan, which has no end on the host
	endpoint  Endpoint
	sysctls   map[string]string // by path below /proc/sys
	linklocal []netip.Addr
	priority  int
	hold      *filelock.Lock // keeps the network from being removed
}

// planEndpoint chooses everything about one endpoint. Where it fails after
// addresses were claimed, the plan returned holds them.
func (m *Manager) planEndpoint(ctx context.Context, containerID string, interfaces names, want EndpointConfig) (*endpointPlan, error) {
	if err := want.check(); err != nil {
		return nil, fmt.Errorf("network %s: %w", want.Network, err)
	}
	n, hold, err := m.holdNetwork(ctx, want.Network)
	if err != nil {
		return nil, err
	}
	p := &endpointPlan{network: n, priority: want.Priority, linklocal: want.LinkLocal, hold: hold}
	p.endpoint = Endpoint{
		Network: n.Name, NetworkID: n.ID, Interface: interfaces.take(n, &want),
		Aliases: want.Aliases, Links: want.Links, Direct: n.Driver == "macvlan",
	}
	if !p.endpoint.Direct {
		p.veth = m.vethName(containerID, n.ID, 0)
	}
	if p.sysctls, err = want.sysctls(p.endpoint.Interface); err != nil {
		return p, err
	}
	if p.bridge = m.bridgeIndex(n.Bridge); p.bridge == 0 {
		return p, fmt.Errorf("bridge %s of network %s is gone", n.Bridge, n.Name)
	}
	if p.mtu, err = n.mtu(); err != nil {
		return p, err
	}
	if p.endpoint.Direct && n.Options[optionMTU] == "" {
		p.mtu = 0 // the parent's
	}
	if err := m.claimAddresses(p, containerID, want); err != nil {
		return p, err
	}
	if p.mac = addressMAC(p.endpoint.IPv4); !p.endpoint.IPv4.IsValid() {
		p.mac = addressMAC(p.endpoint.IPv6)
	}
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
	err := m.withLeases(n.ID, os.O_CREATE, func(t *leases) error {
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
				e.IPv6, e.IPv6Bits, e.Gateway6 = a, sub.Prefix.Bits(), sub.Gateway
			}
			if !e.Host.IsValid() && n.hostAddress(sub) {
				e.Host = sub.Gateway
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n.Internal {
		e.Gateway, e.Gateway6 = netip.Addr{}, netip.Addr{}
	}
	if !e.IPv4.IsValid() && (!n.NoIPv4 || want.IPv4.IsValid()) {
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

// makeNamespace makes the namespace and fills it.
func (s *Sandbox) makeNamespace(plans []*endpointPlan) error {
	host, err := s.m.netlink()
	if err != nil {
		return err
	}
	waiting := trace.Begin("wait for a turn", s.cfg.ContainerName)
	s.m.making <- struct{}{}
	waiting.End()
	defer func() { <-s.m.making }()
	return onThread(func() error {
		unsharing := trace.Begin("make the network namespace", s.cfg.ContainerName)
		err := s.enterNew()
		unsharing.End()
		if err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
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
		adding := trace.Begin("add interfaces", s.cfg.ContainerName)
		err = s.addInterfaces(inside, host, plans)
		adding.End()
		if err != nil {
			return err
		}
		if len(plans) > 0 {
			defer trace.Begin("open the resolver", s.cfg.ContainerName).End()
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

// enterNew makes the namespace, with the thread in it.
func (s *Sandbox) enterNew() (err error) {
	if s.cfg.NewNS == nil {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			s.ns, err = currentNS()
		}
		return err
	}
	if s.ns, err = s.cfg.NewNS(); err != nil {
		return err
	}
	return unix.Setns(int(s.ns.Fd()), unix.CLONE_NEWNET)
}

func wantsIPv6(plans []*endpointPlan) bool {
	for _, p := range plans {
		if p.endpoint.IPv6.IsValid() || slices.ContainsFunc(p.linklocal, netip.Addr.Is6) {
			return true
		}
	}
	return false
}

// addInterfaces makes everything inside in one batch and makes the host's ends
// ports of their bridges in another.
func (s *Sandbox) addInterfaces(inside, host *rtnl.Socket, plans []*endpointPlan) error {
	if err := s.addMacvlans(inside, host, plans); err != nil {
		return err
	}
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
			if p.veth == "" {
				continue // it has its name and its address already
			}
			if results[1+i] == nil {
				undo.DeleteLink(p.endpoint.Interface)
			}
			taken = taken || errors.Is(results[1+i], unix.EEXIST)
		}
		if _, undone := inside.Do(undo); undone != nil || !taken || attempt == vethNames {
			return fmt.Errorf("make its interfaces, addresses and routes: %w", err)
		}
		for i, p := range plans {
			if p.veth == "" {
				continue
			}
			s.renameVeth(i, p, attempt+1)
		}
		if err := s.m.writeSandbox(&s.record); err != nil {
			return err
		}
	}
	ports, ends := new(rtnl.Batch), new(rtnl.Batch)
	for _, p := range plans {
		p.connect(ports)
		ends.Settle(p.endpoint.Interface)
	}
	if err := host.Run(ports); err != nil {
		return connectError(err, plans)
	}
	if err := inside.Run(ends); err != nil {
		return err
	}
	for _, p := range plans {
		if err := p.applySysctls(); err != nil {
			return err
		}
	}
	return nil
}

// connectError says what to do where a bridge takes no further port.
func connectError(err error, plans []*endpointPlan) error {
	if !errors.Is(err, unix.EXFULL) {
		return fmt.Errorf("connect it to its bridges: %w", err)
	}
	var names []string
	for _, p := range plans {
		if p.veth != "" {
			names = append(names, p.network.Name)
		}
	}
	return fmt.Errorf("no further container fits on network %s: the kernel takes 1023 on one; put some services on another network", strings.Join(names, " or "))
}

// connect makes the host's end a port of its bridge.
func (p *endpointPlan) connect(b *rtnl.Batch) {
	if p.veth == "" {
		return
	}
	b.UpPort(p.veth, p.bridge)
	b.Hairpin(p.veth)
	if !p.network.on(optionICC, true) {
		b.Isolate(p.veth)
	}
	b.Settle(p.veth)
	b.Settle(p.network.Bridge) // its first port gives it a carrier
}

// addresses gives the interface with that index its addresses.
func (p *endpointPlan) addresses(b *rtnl.Batch, index int) {
	e := &p.endpoint
	if e.IPv4.IsValid() {
		b.AddAddress(index, netip.PrefixFrom(e.IPv4, e.IPv4Bits))
	}
	if e.IPv6.IsValid() {
		b.AddAddress(index, netip.PrefixFrom(e.IPv6, e.IPv6Bits))
	}
	for _, a := range p.linklocal {
		bits := 16
		if a.Is6() {
			bits = 64
		}
		b.AddAddress(index, netip.PrefixFrom(a, bits))
	}
}

// applySysctls writes the interface's own kernel parameters. The thread is in
// the container's namespace.
func (p *endpointPlan) applySysctls() error {
	for path, value := range p.sysctls {
		if err := writeSysctl("/proc/sys/"+path, value); err != nil {
			return fmt.Errorf("set the parameter %s of its interface to %q: %w", strings.ReplaceAll(path, "/", "."), value, err)
		}
	}
	return nil
}

// vethNames is how many more names are tried for the host's end of a pair: one
// may still be that of an interface in the namespace of an earlier run, which
// the kernel takes apart when it likes.
const vethNames = 8

// renameVeth gives the host's end of an endpoint's pair its next name, but not
// on disk yet.
func (s *Sandbox) renameVeth(at int, p *endpointPlan, attempt int) {
	p.veth = s.m.vethName(s.record.ContainerID, p.network.ID, attempt)
	s.record.Endpoints[at].Veth = p.veth
}

// veth is an endpoint's pair. Its index inside is 0 where any will do.
func (s *Sandbox) veth(p *endpointPlan, index int) rtnl.Veth {
	return rtnl.Veth{
		Name: p.endpoint.Interface, Index: index, MAC: p.mac, MTU: p.mtu,
		PeerNS: int(s.m.host.file.Fd()), PeerName: p.veth, PeerGroup: portGroup(p.bridge),
	}
}

// insideBatch takes loopback up, then makes the pairs, then addresses and the
// default routes.
func (s *Sandbox) insideBatch(plans []*endpointPlan) *rtnl.Batch {
	b := new(rtnl.Batch)
	b.Up(1)
	for i, p := range plans {
		if p.veth == "" {
			b.Up(i + 2)
			continue
		}
		b.AddVeth(s.veth(p, i+2))
	}
	out4, out6 := s.record.exit(gateway4), s.record.exit(gateway6)
	for i, p := range plans {
		p.addresses(b, i+2)
		if out4 != nil && out4.NetworkID == p.network.ID {
			b.AddDefaultRoute(i+2, out4.Gateway)
		}
		if out6 != nil && out6.NetworkID == p.network.ID {
			b.AddDefaultRoute(i+2, out6.Gateway6)
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
