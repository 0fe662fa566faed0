package netbridge

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

func TestPortInUse(t *testing.T) {
	w := newWorld(t)
	w.network(NetworkConfig{Name: "net"})
	w.host.serve(t, "program", "127.0.0.1:5000")
	a := w.container("shop-web-1", SandboxConfig{Ports: []PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}}, "net")

	comm, _ := os.ReadFile("/proc/self/comm")
	me := strings.TrimSpace(string(comm)) + " (pid "
	for want, p := range map[string]PortMapping{
		"port 8080/tcp is already in use by container shop-web-1": {HostPort: 8080, ContainerPort: 80},
		"port 5000/tcp is already in use by " + me:                {HostPort: 5000, ContainerPort: 80, Protocol: "tcp"},
		"port 5000/udp is already in use by " + me:                {HostPort: 5000, ContainerPort: 80, Protocol: "udp"},
		"port 127.0.0.1:5000/tcp is already in use by " + me:      {HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: 5000, ContainerPort: 80},
		"203.0.113.9 is not an address of this host":              {HostIP: netip.MustParseAddr("203.0.113.9"), HostPort: 5001, ContainerPort: 80},
		"the protocols are tcp and udp":                           {HostPort: 5001, ContainerPort: 80, Protocol: "sctp"},
	} {
		err := w.m.CheckPorts([]PortMapping{p})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	var inUse *PortInUseError
	if err := w.m.CheckPorts([]PortMapping{{HostPort: 8080, ContainerPort: 1}}); !errors.As(err, &inUse) || inUse.Port != 8080 {
		t.Errorf("not a PortInUseError: %v", err)
	}
	must(t, w.m.CheckPorts([]PortMapping{{HostPort: 8080, ContainerPort: 80}}, testID("shop-web-1")))
	must(t, w.m.CheckPorts([]PortMapping{{HostPort: 5000, ContainerPort: 80, HostIP: netip.MustParseAddr("192.0.2.2")}}))
	if err := w.m.CheckPorts([]PortMapping{{HostPort: 8082, ContainerPort: 80}, {HostPort: 8082, ContainerPort: 81}}); err == nil {
		t.Error("one port published twice")
	}

	_, err := w.m.NewSandbox(t.Context(), SandboxConfig{
		ContainerID: testID("late"), ContainerName: "late",
		Endpoints: []EndpointConfig{{Network: "net"}}, Ports: []PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}},
	})
	if !errors.As(err, &inUse) {
		t.Errorf("late: %v", err)
	}
	// Given back, it is free at once.
	must(t, a.Close(t.Context()))
	b := w.container("late", SandboxConfig{Ports: []PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}}, "net")
	b.hostNS.serve(t, "b", "0.0.0.0:80")
	w.outside.answers(t, "tcp", "192.0.2.2:8080", "b ")
}

func TestPortRangesAndRandomPorts(t *testing.T) {
	w := newWorld(t)
	w.network(NetworkConfig{Name: "net"})
	w.host.serve(t, "program", "127.0.0.1:9000")
	c := w.container("c", SandboxConfig{Ports: []PortMapping{
		{HostPort: 9000, HostPortEnd: 9005, ContainerPort: 80, Protocol: "tcp"},
		{ContainerPort: 80, Protocol: "udp"},
	}}, "net")
	c.hostNS.serve(t, "c", "0.0.0.0:80")
	ports := c.Ports()
	if len(ports) != 4 || ports[0].HostPort != 9001 || ports[1].HostPort != 9001 || ports[0].HostIP != netip.IPv4Unspecified() || ports[1].HostIP != netip.IPv6Unspecified() {
		t.Fatalf("ports: %v", ports)
	}
	w.outside.answers(t, "tcp", "192.0.2.2:9001", "c ")
	if ports[2].HostPort < 1024 || ports[2].HostPort != ports[3].HostPort {
		t.Errorf("random port: %v", ports[2:])
	}
	w.outside.answers(t, "udp", netip.AddrPortFrom(netip.MustParseAddr("192.0.2.2"), ports[2].HostPort).String(), "c ")
	err := w.m.CheckPorts([]PortMapping{{HostPort: 9000, HostPortEnd: 9001, ContainerPort: 80}})
	if err == nil || !strings.Contains(err.Error(), "no port between 9000 and 9001/tcp is free") {
		t.Errorf("a full range: %v", err)
	}
}

// TestRelease kills a container's keeper: all that is left is records.
func TestRelease(t *testing.T) {
	w := newWorld(t)
	n := w.network(NetworkConfig{Name: "net"})
	s := w.container("dead", SandboxConfig{Ports: []PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}}, "net")
	for _, l := range s.listeners {
		l.close()
	}
	s.server.Close()
	s.ns.Close()
	s.closed = true
	m := w.manager(w.m.roots.State) // another process
	for range 2 {
		must(t, m.Release(t.Context(), s.record.ContainerID))
	}
	if out := w.host.sh(t, "ip -o link show master "+n.Bridge+"; nft list map inet compose-"+m.tag+" ports4 | grep 8080 || true"); out != "" {
		t.Errorf("left: %s", out)
	}
	if err := m.Release(t.Context(), "../x"); err == nil {
		t.Error("a path is no container ID")
	}
	// Died between the claim of its address and its record.
	must(t, m.withLeases(n.ID, 0, func(l *leases) error {
		_, err := m.claim(l, n, &n.Subnets[0], testID("early"), netip.Addr{})
		return err
	}))
	// And while its record and its name on the network were being made.
	unfinished := []string{unnamed(m.sandboxRecord(testID("early"))), unnamed(m.endpointPath(n.ID, testID("early")))}
	for _, path := range unfinished {
		must(t, os.WriteFile(path, []byte("{"), 0o600))
	}
	must(t, m.Release(t.Context(), testID("early")))
	for _, path := range unfinished {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	must(t, m.withLeases(n.ID, 0, func(l *leases) error {
		if taken := l.taken(); len(taken) != 0 {
			t.Errorf("addresses left: %v", taken)
		}
		return nil
	}))
}

// TestAdopt passes a running container on to another process.
func TestAdopt(t *testing.T) {
	for _, keep := range []string{"all", "netns"} {
		t.Run(keep, func(t *testing.T) {
			w := newWorld(t)
			w.network(NetworkConfig{Name: "net"})
			cfg := SandboxConfig{Ports: []PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}, {HostPort: 8080, ContainerPort: 80, Protocol: "udp"}}}
			s := w.container("c", cfg, "net")
			s.hostNS.serve(t, "c", "0.0.0.0:80")
			files := map[string]*os.File{}
			for name, f := range s.Files() {
				if keep == "all" || name == keep {
					files[name] = f
				} else {
					f.Close()
				}
			}
			s.server.Close()
			for _, l := range s.listeners {
				l.close()
			}
			s.closed = true // the old process is no more
			m := w.manager(w.m.roots.State)
			cfg = s.cfg
			b, err := m.Adopt(t.Context(), cfg, os.Getpid(), s.Endpoints(), s.Ports(), files)
			must(t, err)
			w.host.answers(t, "tcp", "[::1]:8080", "c ")
			w.host.answers(t, "udp", "[::1]:8080", "c ")
			w.outside.answers(t, "tcp", "192.0.2.2:8080", "c ")
			if got := s.resolve(t, "c"); got != s.ip().String() {
				t.Errorf("resolver: %q", got)
			}
			must(t, b.Close(t.Context()))
		})
	}
}

// resolve looks a name up as a program in the container would.
func (c *container) resolve(t testing.TB, name string) string {
	t.Helper()
	text := ""
	err := c.hostNS.run(func() error {
		r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (conn net.Conn, err error) {
			err = c.hostNS.run(func() error {
				conn, err = new(net.Dialer).DialContext(ctx, network, "127.0.0.11:53")
				return err
			})
			return conn, err
		}}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		addrs, err := r.LookupHost(ctx, name+".")
		text = strings.Join(addrs, " ")
		return err
	})
	if err != nil {
		return "error: " + err.Error()
	}
	return text
}
