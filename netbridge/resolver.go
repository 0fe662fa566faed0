package netbridge

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"compose/netbridge/dns"
)

// openResolver opens the resolver's sockets in the calling thread's namespace.
func (s *Sandbox) openResolver() error {
	at := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(resolverAddress), resolverPort))
	var err error
	if s.udp, err = net.ListenUDP("udp4", at); err != nil {
		return fmt.Errorf("open the resolver's socket: %w", err)
	}
	t, err := backlog.Listen(context.Background(), "tcp4", at.String())
	if err != nil {
		return fmt.Errorf("open the resolver's socket: %w", err)
	}
	s.tcp = t.(*net.TCPListener)
	return nil
}

// serve starts the resolver and the proxies.
func (s *Sandbox) serve() {
	s.carry()
	if s.names == nil {
		s.answer()
	}
}

// answer starts the resolver, where the container has one.
func (s *Sandbox) answer() {
	if s.udp == nil || s.tcp == nil {
		return
	}
	v := &view{extra: map[string][]netip.Addr{}}
	for name, addrs := range s.cfg.ExtraHosts {
		v.extra[strings.ToLower(name)] = addrs
	}
	v.set(s)
	s.names = v
	s.server = dns.Serve(s.udp, s.tcp, dns.New(dns.Config{Names: v, Dial: s.m.dialDNS, Upstream: func() []netip.AddrPort {
		switch {
		case !v.out():
			return nil
		case len(s.cfg.Upstream) > 0:
			return s.cfg.Upstream
		}
		return hostNameservers()
	}}))
}

func (m *Manager) dialDNS(ctx context.Context, network string, to netip.AddrPort) (c net.Conn, err error) {
	err = m.host.run(func() error {
		var d net.Dialer
		d.SetMultipathTCP(false)
		c, err = d.DialContext(ctx, network, to.String())
		return err
	})
	return c, err
}

// resolvConf is the host's list of name servers, read again when it changes.
var resolvConf struct {
	sync.Mutex
	size    int64
	changed time.Time
	inode   uint64
	servers []netip.AddrPort
}

func hostNameservers() []netip.AddrPort {
	c := &resolvConf
	c.Lock()
	defer c.Unlock()
	info, err := os.Stat("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	var inode uint64
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = st.Ino
	}
	if c.servers != nil && info.ModTime().Equal(c.changed) && info.Size() == c.size && inode == c.inode {
		return c.servers
	}
	f, err := os.Open("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	defer f.Close()
	c.servers = []netip.AddrPort{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(fields[1]); err == nil {
			c.servers = append(c.servers, netip.AddrPortFrom(a, 53))
		}
	}
	c.changed, c.size, c.inode = info.ModTime(), info.Size(), inode
	return c.servers
}
