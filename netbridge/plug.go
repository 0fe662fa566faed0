package netbridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"compose/netbridge/rtnl"
)

// Errors of Connect and Disconnect.
var (
	ErrConnected    = errors.New("the container is on the network already")
	ErrNotConnected = errors.New("the container is not on the network")
	ErrClosed       = errors.New("the container has ended")
)

// Connect makes one more interface, for a container that runs. Whether it is
// to keep it is its configuration's to say: see Adopt.
func (s *Sandbox) Connect(ctx context.Context, want EndpointConfig) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.endpoint(want.Network) >= 0 {
		return fmt.Errorf("network %s: %w", want.Network, ErrConnected)
	}
	taken, err := s.interfaces()
	if err == nil {
		err = taken.choose(want)
	}
	if err != nil {
		return err
	}
	p, err := s.m.planEndpoint(ctx, s.record.ContainerID, taken, want)
	if p == nil {
		return err
	}
	defer p.hold.Drop()
	e := endpointHolder{Endpoint: p.endpoint, Veth: p.veth, Priority: p.priority}
	if err != nil {
		return errors.Join(err, s.m.yield(e.NetworkID, s.record.ContainerID))
	}
	s.record.Endpoints = append(s.record.Endpoints, e)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.unplug(len(s.record.Endpoints)-1), s.reroute(), s.m.writeSandbox(&s.record))
		}
	}()
	if err := s.m.writeSandbox(&s.record); err != nil {
		return fmt.Errorf("record the network of %s: %w", s.record.ContainerName, err)
	}
	inside := &hostNS{file: s.ns}
	if err := inside.run(func() error { return s.plug(p) }); err != nil {
		return fmt.Errorf("connect %s to network %s: %w", s.record.ContainerName, e.Network, err)
	}
	e = s.record.Endpoints[len(s.record.Endpoints)-1]
	if len(s.record.Endpoints) == 1 {
		if err := inside.run(s.firstResolver); err != nil {
			return err
		}
	}
	if err := s.m.announceOn(&s.record, e); err != nil {
		return err
	}
	if err := s.reroute(); err != nil {
		return err
	}
	s.happened("connect", e)
	return nil
}

// firstResolver sees to it that a container that has come to its first network
// has a resolver: it may have one from an earlier network, and a crash may have
// kept that from being redirected to. The thread is in its namespace.
func (s *Sandbox) firstResolver() error {
	if s.udp != nil && s.tcp != nil {
		return redirectResolver()
	}
	err := s.openResolver()
	if err == nil {
		err = redirectResolver()
	}
	if err == nil {
		return nil
	}
	if s.udp != nil {
		s.udp.Close()
	}
	if s.tcp != nil {
		s.tcp.Close()
	}
	s.udp, s.tcp = nil, nil
	return err
}

// Disconnect takes an interface away from a container that runs.
func (s *Sandbox) Disconnect(_ context.Context, network string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.endpoint(network)
	if s.closed || at < 0 {
		return fmt.Errorf("network %s: %w", network, ErrNotConnected)
	}
	s.happened("disconnect", s.record.Endpoints[at])
	// The record on disk is the last to change: whoever adopts the container
	// before that does it all again.
	return errors.Join(s.unplug(at), s.reroute(), s.m.writeSandbox(&s.record))
}

// endpoint is the place of a network's endpoint in the record, or -1.
func (s *Sandbox) endpoint(network string) int {
	return slices.IndexFunc(s.record.Endpoints, func(e endpointHolder) bool { return e.Network == network })
}

// interfaces are the names that a running container's interfaces have: ours,
// under whatever name it has them by now, and its own.
func (s *Sandbox) interfaces() (names, error) {
	taken := names{}
	for _, e := range s.record.Endpoints {
		taken[e.Interface] = true
	}
	err := (&hostNS{file: s.ns}).run(func() error {
		there, err := net.Interfaces()
		for _, i := range there {
			taken[i.Name] = true
		}
		return err
	})
	return taken, err
}

// plug makes a pair between the calling thread's namespace and a bridge.
func (s *Sandbox) plug(p *endpointPlan) error {
	host, err := s.m.netlink()
	if err != nil {
		return err
	}
	inside, err := rtnl.Open()
	if err != nil {
		return err
	}
	defer inside.Close()
	name := p.endpoint.Interface
	if p.veth == "" {
		err = s.addMacvlan(inside, host, p, 0)
	} else {
		err = s.addVeth(inside, p)
	}
	if err != nil {
		return err
	}
	link, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	b := new(rtnl.Batch)
	if wantsIPv6([]*endpointPlan{p}) {
		_ = writeSysctl("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", "0") // the address tells
	}
	p.addresses(b, link.Index)
	if err := inside.Run(b); err != nil {
		return fmt.Errorf("give %s its addresses: %w", name, err)
	}
	ports, ends := new(rtnl.Batch), new(rtnl.Batch)
	p.connect(ports)
	ends.Settle(name)
	if err := host.Run(ports); err != nil {
		return fmt.Errorf("connect it to its bridge: %w", err)
	}
	if err := inside.Run(ends); err != nil {
		return err
	}
	return p.applySysctls()
}

// addVeth makes the pair.
func (s *Sandbox) addVeth(inside *rtnl.Socket, p *endpointPlan) error {
	for attempt := 0; ; attempt++ {
		b := new(rtnl.Batch)
		b.AddVeth(s.veth(p, 0))
		err := inside.Run(b)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EEXIST) || attempt == vethNames {
			return fmt.Errorf("make its interface %s: %w", p.endpoint.Interface, err)
		}
		s.renameVeth(s.endpoint(p.endpoint.Network), p, attempt+1)
		if err := s.m.writeSandbox(&s.record); err != nil {
			return err
		}
	}
}

// unplug takes the endpoint out of name resolution, off the wire, and out of
// the record, but not on disk yet.
func (s *Sandbox) unplug(at int) error {
	e := s.record.Endpoints[at]
	one := &sandboxRecord{ContainerID: s.record.ContainerID, Endpoints: []endpointHolder{e}}
	var errs []error
	if err := os.Remove(s.m.endpointPath(e.NetworkID, s.record.ContainerID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	errs = append(errs, s.deleteMacvlans(e), s.m.eachVeth(one, (*rtnl.Batch).DeleteLink), s.m.yield(e.NetworkID, s.record.ContainerID))
	s.record.Endpoints = slices.Delete(s.record.Endpoints, at, at+1)
	return errors.Join(errs...)
}

// reroute brings all that depends on the endpoints in step with them: the
// default route, where the published ports lead, and the names.
func (s *Sandbox) reroute() error {
	var err error
	for _, gateway := range []func(*Endpoint) netip.Addr{gateway4, gateway6} {
		if out := s.record.exit(gateway); out != nil {
			err = errors.Join(err, s.defaultRoute(out, gateway(out)))
		}
	}
	err = errors.Join(err, s.redirectPorts())
	if s.names != nil {
		s.names.set(s)
	} else {
		s.answer()
	}
	return err
}

// defaultRoute gives the container a way out of one family, if it has none.
func (s *Sandbox) defaultRoute(out *Endpoint, gateway netip.Addr) error {
	return (&hostNS{file: s.ns}).run(func() error {
		inside, err := rtnl.Open()
		if err != nil {
			return err
		}
		defer inside.Close()
		link, err := net.InterfaceByName(out.Interface)
		if err != nil {
			return err
		}
		b := new(rtnl.Batch)
		b.AddDefaultRoute(link.Index, gateway)
		results, err := inside.Do(b)
		for _, r := range results {
			if !errors.Is(r, unix.EEXIST) {
				err = errors.Join(err, r)
			}
		}
		if err != nil {
			return fmt.Errorf("make the default route: %w", err)
		}
		return nil
	})
}

// redirectPorts has the published ports lead to an endpoint, if the one they
// led to is gone. A container that had no way out so far gets its ports now.
func (s *Sandbox) redirectPorts() error {
	to := s.portTargets()
	if to.any() && len(s.record.Ports) == 0 && len(s.record.Publications) == 0 && len(s.cfg.Ports) > 0 {
		if err := s.reserve(to); err != nil {
			s.closePorts()
			return err
		}
		s.carry()
		return errors.Join(s.m.writeSandbox(&s.record), s.m.publish(s.record.Publications))
	}
	there := func(a netip.Addr) bool {
		return slices.ContainsFunc(s.record.Endpoints, func(e endpointHolder) bool { return e.IPv4 == a || e.IPv6 == a })
	}
	old := s.record.Publications
	if len(s.record.Ports)+len(old) == 0 || len(old) > 0 && there(old[0].Target) {
		return nil
	}
	list := to.publications(s.record.Ports, s.cfg.Ports)
	err := s.m.fw.unpublish(old)
	s.record.Publications = list
	return errors.Join(err, s.m.writeSandbox(&s.record), s.m.publish(list))
}

// prune drops the endpoints that the configuration does not have: somebody
// died while connecting or disconnecting them.
func (s *Sandbox) prune() error {
	pruned := false
	var errs []error
	for i := len(s.record.Endpoints) - 1; i >= 0; i-- {
		network := s.record.Endpoints[i].Network
		if !slices.ContainsFunc(s.cfg.Endpoints, func(e EndpointConfig) bool { return e.Network == network }) {
			errs = append(errs, s.unplug(i))
			pruned = true
		}
	}
	if pruned {
		errs = append(errs, s.reroute(), s.m.writeSandbox(&s.record))
	}
	return errors.Join(errs...)
}

// CheckEndpoint says what is wrong with an endpoint that is asked for ahead of
// a start. Whether an address is free is known only then.
func (m *Manager) CheckEndpoint(want EndpointConfig) error {
	n, err := m.Network(want.Network)
	if err == nil {
		err = want.check()
	}
	if err != nil {
		return err
	}
	for _, a := range []netip.Addr{want.IPv4, want.IPv6} {
		if !a.IsValid() {
			continue
		}
		i := slices.IndexFunc(n.Subnets, func(s Subnet) bool { return s.Prefix.Contains(a) })
		if i < 0 {
			return fmt.Errorf("network %s has no subnet that contains the address %s", n.Name, a)
		}
		if err := n.Subnets[i].usable(n, a); err != nil {
			return err
		}
	}
	return nil
}
