package netbridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
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

// reserve reserves the sandbox's ports and notes what to publish.
func (s *Sandbox) reserve(plans []*endpointPlan) error {
	out := exit(plans)
	if out == nil || len(s.cfg.Ports) == 0 {
		return nil // nothing from outside reaches an internal network
	}
	return s.m.host.run(func() error {
		for _, p := range s.cfg.Ports {
			all, err := s.m.reserve(p)
			if err != nil {
				return err
			}
			s.listeners = append(s.listeners, all...)
			for _, l := range all {
				s.record.Ports = append(s.record.Ports, l.port)
				target := out.endpoint.IPv4
				if l.port.HostIP.Is6() {
					target = out.endpoint.IPv6
				}
				if target.IsValid() {
					s.record.Publications = append(s.record.Publications, publication{
						Protocol: l.port.Protocol, HostIP: l.port.HostIP, HostPort: l.port.HostPort,
						Target: target, Port: l.port.ContainerPort,
					})
				}
			}
		}
		return nil
	})
}

// target is where the proxy carries connections: IPv4, which every container has.
func (s *Sandbox) target() netip.Addr {
	for _, p := range s.record.Publications {
		if p.Target.Is4() {
			return p.Target
		}
	}
	for _, e := range s.record.Endpoints {
		if e.Gateway.IsValid() {
			return e.IPv4
		}
	}
	return netip.Addr{}
}

// carry starts the proxies.
func (s *Sandbox) carry() {
	for _, l := range s.listeners {
		dial := s.m.dialer(netip.AddrPortFrom(s.target(), l.port.ContainerPort), l.port.Protocol)
		if l.tcp != nil {
			l.proxy = proxy.TCP(l.tcp, dial)
		} else {
			l.proxy = proxy.UDP(l.udp, dial)
		}
	}
}

// dialer connects from the host's namespace.
func (m *Manager) dialer(to netip.AddrPort, protocol string) proxy.Dialer {
	return func(ctx context.Context) (c net.Conn, err error) {
		err = m.host.run(func() error {
			var d net.Dialer
			d.SetMultipathTCP(false)
			c, err = d.DialContext(ctx, protocol, to.String())
			return err
		})
		return c, err
	}
}
