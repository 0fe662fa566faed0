package netbridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"compose/netbridge/proxy"

	"golang.org/x/sys/unix"
)

// listener is a host port that is reserved by a socket of ours. The kernel
// sends IPv4 packets on to the container before they reach the socket; what
// does reach it (::1, IPv6 to a container without, and everything if somebody
// flushes the firewall) is carried over by the proxy.
type listener struct {
	port  PublishedPort
	tcp   *net.TCPListener
	udp   *net.UDPConn
	proxy interface{ Close() }
}

func (l *listener) close() {
	if l.proxy != nil {
		l.proxy.Close()
	}
	if l.tcp != nil {
		l.tcp.Close()
	}
	if l.udp != nil {
		l.udp.Close()
	}
}

func (l *listener) file() (*os.File, error) {
	if l.tcp != nil {
		return l.tcp.File()
	}
	return l.udp.File()
}

// key names the socket in Sandbox.Files.
func (p PublishedPort) key() string {
	return "port." + p.Protocol + "." + netip.AddrPortFrom(p.HostIP, p.HostPort).String() + "." + strconv.Itoa(int(p.ContainerPort))
}

var backlog = &net.ListenConfig{}

func init() { backlog.SetMultipathTCP(false) }

// listen reserves one host port; port 0 lets the kernel choose. The thread is
// in the host's namespace.
func listen(a netip.AddrPort, protocol string) (*listener, error) {
	family := "4"
	if a.Addr().Is6() {
		family = "6"
	}
	l := &listener{port: PublishedPort{HostIP: a.Addr(), HostPort: a.Port(), Protocol: protocol}}
	if protocol == "udp" {
		c, err := backlog.ListenPacket(context.Background(), "udp"+family, a.String())
		if err != nil {
			return nil, err
		}
		l.udp = c.(*net.UDPConn)
		l.port.HostPort = uint16(l.udp.LocalAddr().(*net.UDPAddr).Port)
		return l, nil
	}
	t, err := backlog.Listen(context.Background(), "tcp"+family, a.String())
	if err != nil {
		return nil, err
	}
	l.tcp = t.(*net.TCPListener)
	l.port.HostPort = uint16(l.tcp.Addr().(*net.TCPAddr).Port)
	return l, nil
}

// hostAddresses are the addresses a mapping without or with a host IP binds.
func (p PortMapping) hostAddresses() []netip.Addr {
	if p.HostIP.IsValid() {
		return []netip.Addr{p.HostIP.Unmap()}
	}
	return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
}

// bind reserves one host port on every address of a mapping, or nothing.
func (p PortMapping) bind(port uint16) (all []*listener, err error) {
	for _, a := range p.hostAddresses() {
		l, err := listen(netip.AddrPortFrom(a, port), p.Protocol)
		if err != nil && len(all) > 0 && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
			continue // a host without IPv6
		}
		if err != nil {
			for _, l := range all {
				l.close()
			}
			return nil, err
		}
		l.port.ContainerPort = p.ContainerPort
		port = l.port.HostPort // chosen once, the same for both families
		all = append(all, l)
	}
	return all, nil
}

// reserve finds and reserves the host port of a mapping.
func (m *Manager) reserve(p PortMapping, except ...string) ([]*listener, error) {
	if p.Protocol == "" {
		p.Protocol = "tcp"
	}
	if p.Protocol != "tcp" && p.Protocol != "udp" {
		return nil, fmt.Errorf("cannot publish port %d/%s: the protocols are tcp and udp", p.ContainerPort, p.Protocol)
	}
	first, last := p.HostPort, max(p.HostPort, p.HostPortEnd)
	tries := int(last-first) + 1
	if first == 0 {
		tries = 16 // a port free for IPv4 may be taken for IPv6
	}
	for i := range tries {
		port := first
		if first != 0 {
			port += uint16(i)
		}
		all, err := p.bind(port)
		if err == nil {
			return all, nil
		}
		switch {
		case errors.Is(err, unix.EADDRINUSE):
		case errors.Is(err, unix.EADDRNOTAVAIL):
			return nil, fmt.Errorf("cannot publish port %d/%s: %s is not an address of this host", port, p.Protocol, p.HostIP)
		default:
			return nil, fmt.Errorf("cannot publish port %d/%s: %w", port, p.Protocol, err)
		}
	}
	taken := &PortInUseError{HostIP: p.HostIP, Port: first, Protocol: p.Protocol}
	if last > first {
		taken.PortEnd = last
		return nil, taken
	}
	var ours bool
	taken.Holder, ours = m.holder(p, except)
	if ours {
		return nil, nil
	}
	return nil, taken
}

// CheckPorts says whether the ports could be published now: nil or a
// *PortInUseError. Ports held by the containers whose IDs are in except (those
// about to be replaced) count as free.
func (m *Manager) CheckPorts(ports []PortMapping, except ...string) error {
	return m.host.run(func() error {
		var held []*listener
		defer func() {
			for _, l := range held {
				l.close()
			}
		}()
		for _, p := range ports {
			all, err := m.reserve(p, except...)
			if err != nil {
				return err
			}
			held = append(held, all...) // so that two mappings of one port are noticed
		}
		return nil
	})
}

// portTargets is where a container's published ports lead.
type portTargets struct {
	four, six    *Endpoint  // nil: nowhere over that family
	open4, open6 bool       // no translation there: the port is open at the container's own address
	binding      netip.Addr // of the host, for mappings that name none
}

func (t *portTargets) any() bool { return t.four != nil || t.six != nil }

// portTargets chooses the endpoints that published ports lead to.
func (s *Sandbox) portTargets() *portTargets {
	t := new(portTargets)
	if len(s.cfg.Ports) == 0 {
		return t
	}
	bridged := func(gateway func(*Endpoint) netip.Addr) func(*Endpoint) netip.Addr {
		return func(e *Endpoint) netip.Addr {
			if e.Direct {
				return netip.Addr{}
			}
			return gateway(e)
		}
	}
	t.four, t.six = s.record.exit(bridged(gateway4)), s.record.exit(bridged(gateway6))
	if t.four != nil {
		if n, err := s.m.Network(t.four.Network); err == nil {
			t.open4 = n.Options[optionGateway4] == gatewayRouted
			t.binding, _ = netip.ParseAddr(n.Options[optionBinding])
		}
	}
	if t.six != nil {
		if n, err := s.m.Network(t.six.Network); err == nil {
			t.open6 = n.Options[optionGateway6] == gatewayRouted
		}
	}
	return t
}

// bound is what of a mapping has a port of the host, and what is open at the
// container's own address instead.
func (t *portTargets) bound(p PortMapping) (host []PortMapping, open []publication) {
	if !p.HostIP.IsValid() && t.binding.IsValid() {
		p.HostIP = t.binding
	}
	var left []netip.Addr
	for _, a := range p.hostAddresses() {
		at := netip.Addr{}
		switch {
		case a.Is4() && t.open4:
			at = t.four.IPv4
		case a.Is6() && t.open6:
			at = t.six.IPv6
		default:
			left = append(left, a)
			continue
		}
		open = append(open, publication{
			Protocol: p.Protocol, HostIP: at, HostPort: p.ContainerPort, Target: at, Port: p.ContainerPort, Open: true,
		})
	}
	switch len(left) {
	case 0:
		return nil, open
	case 1:
		p.HostIP = left[0]
	}
	return []PortMapping{p}, open
}

// reserve reserves the sandbox's ports and notes what to publish.
func (s *Sandbox) reserve(to *portTargets) error {
	err := s.m.host.run(func() error {
		for _, p := range s.cfg.Ports {
			host, _ := to.bound(p)
			for _, p := range host {
				all, err := s.m.reserve(p)
				if err != nil {
					return err
				}
				s.listeners = append(s.listeners, all...)
				for _, l := range all {
					s.record.Ports = append(s.record.Ports, l.port)
				}
			}
		}
		return nil
	})
	s.record.Publications = to.publications(s.record.Ports, s.cfg.Ports)
	return err
}

// publications are published ports as the firewall is to know them.
func (t *portTargets) publications(ports []PublishedPort, mappings []PortMapping) []publication {
	var all []publication
	for _, p := range ports {
		var target netip.Addr
		switch {
		case p.HostIP.Is4() && t.four != nil:
			target = t.four.IPv4
		case p.HostIP.Is6() && t.six != nil:
			target = t.six.IPv6
		}
		if target.IsValid() {
			all = append(all, publication{
				Protocol: p.Protocol, HostIP: p.HostIP, HostPort: p.HostPort, Target: target, Port: p.ContainerPort,
			})
		}
	}
	for _, m := range mappings {
		_, open := t.bound(m)
		for _, p := range open {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// closePorts gives back the ports that reserve could not have all of.
func (s *Sandbox) closePorts() {
	for _, l := range s.listeners {
		l.close()
	}
	s.listeners, s.record.Ports, s.record.Publications = nil, nil, nil
}

// target is where the proxy carries connections: by IPv4, if the container has
// that.
func (s *Sandbox) target() netip.Addr {
	var target netip.Addr
	for _, p := range s.record.Publications {
		if p.Target.Is4() {
			return p.Target
		}
		target = p.Target
	}
	for _, e := range s.record.Endpoints {
		if !target.IsValid() && e.Out() && !e.Direct {
			if target = e.IPv6; e.IPv4.IsValid() {
				target = e.IPv4
			}
		}
	}
	return target
}

// carry starts the proxies that do not run yet.
func (s *Sandbox) carry() {
	for _, l := range s.listeners {
		if l.proxy != nil {
			continue
		}
		dial := s.dialer(l.port)
		if l.tcp != nil {
			l.proxy = proxy.TCP(l.tcp, dial)
		} else {
			l.proxy = proxy.UDP(l.udp, dial)
		}
	}
}

// dialer connects to a port of the container from the host's namespace.
func (s *Sandbox) dialer(p PublishedPort) proxy.Dialer {
	return func(ctx context.Context) (c net.Conn, err error) {
		s.mu.Lock()
		to := netip.AddrPortFrom(s.target(), p.ContainerPort)
		s.mu.Unlock()
		err = s.m.host.run(func() error {
			var d net.Dialer
			d.SetMultipathTCP(false)
			c, err = d.DialContext(ctx, p.Protocol, to.String())
			return err
		})
		return c, err
	}
}
