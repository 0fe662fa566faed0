package netbridge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// dies ends what looks after a container, without a farewell, and returns what
// it left with its keeper.
func (c *container) dies() map[string]*os.File {
	files := c.Files()
	c.server.Close()
	for _, l := range c.listeners {
		l.close()
	}
	c.closed = true
	return files
}

// TestAdoptConnected passes a container on to another process after a network
// was added to it, half and whole, and in the middle of being taken off.
func TestAdoptConnected(t *testing.T) {
	for _, when := range []string{"connected", "half-connected", "half-disconnected"} {
		t.Run(when, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.network(NetworkConfig{Name: "a"}), w.network(NetworkConfig{Name: "b"})
			peer := w.container("peer", SandboxConfig{}, "b")
			c := w.container("c", SandboxConfig{Ports: []PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}}, "a")
			c.hostNS.serve(t, "c", "0.0.0.0:80")
			must(t, c.Connect(t.Context(), EndpointConfig{Network: "b"}))
			cfg, want := c.cfg, "b"
			switch when {
			case "connected":
				cfg.Endpoints = []EndpointConfig{{Network: "a"}, {Network: "b"}}
				want = "a b"
				must(t, w.m.fw.unpublish(c.record.Publications)) // they were about to move
			case "half-connected": // it has come to the record and the interface, and no further
				must(t, os.Remove(w.m.endpointPath(b.ID, c.cfg.ContainerID)))
				want = "a"
			case "half-disconnected": // its ports are to lead elsewhere now
				cfg.Endpoints = []EndpointConfig{{Network: "b"}}
				must(t, os.Remove(w.m.endpointPath(a.ID, c.cfg.ContainerID)))
				w.host.sh(t, "ip link del "+c.record.Endpoints[0].Veth)
			}
			s, err := w.manager(w.m.roots.State).Adopt(t.Context(), cfg, os.Getpid(), nil, nil, c.dies())
			must(t, err)
			t.Cleanup(func() { must(t, s.Close(t.Context())) })
			var have []string
			for _, e := range s.Endpoints() {
				have = append(have, e.Network)
			}
			if got := strings.Join(have, " "); got != want {
				t.Errorf("it is on %q, want %q", got, want)
			}
			w.outside.answers(t, "tcp", "192.0.2.2:8080", "c 192.0.2.1") // by the kernel, not a proxy
			w.host.answers(t, "tcp", "[::1]:8080", "c ")
			if got := c.sh(t, "ip route show default | wc -l"); got != "1\n" {
				t.Errorf("%s default routes", got)
			}
			at := peer.resolve(t, "c")
			if onB := strings.Contains(want, "b"); onB != !strings.Contains(at, "error") {
				t.Errorf("its peer finds it at %s", at)
			} else if onB {
				if got := c.resolve(t, "peer"); got != peer.ip().String() {
					t.Errorf("it finds its peer at %s", got)
				}
			}
		})
	}
}

// TestReleaseConnected has everything end at once after a network was added,
// and between the new record and the new interface.
func TestReleaseConnected(t *testing.T) {
	w := newWorld(t)
	w.network(NetworkConfig{Name: "a"})
	n := w.network(NetworkConfig{Name: "b"})
	for _, half := range []bool{false, true} {
		c := w.container("c", SandboxConfig{}, "a")
		must(t, c.Connect(t.Context(), EndpointConfig{Network: "b"}))
		if half {
			w.host.sh(t, "ip link del "+c.record.Endpoints[1].Veth)
			must(t, os.Remove(w.m.endpointPath(n.ID, c.cfg.ContainerID)))
		}
		for _, f := range c.dies() {
			f.Close()
		}
		must(t, w.manager(w.m.roots.State).Release(t.Context(), c.cfg.ContainerID))
		must(t, w.m.withLeases(n.ID, 0, func(l *leases) error {
			if taken := l.taken(); len(taken) != 0 {
				t.Errorf("addresses left: %v", taken)
			}
			return nil
		}))
	}
}

// TestReleaseMakesNothing gives back what a container does not have, in a
// network that is just being removed: a new file there would be in the way.
func TestReleaseMakesNothing(t *testing.T) {
	w := newWorld(t)
	n := w.network(NetworkConfig{Name: "a"})
	must(t, w.m.Release(t.Context(), testID("stranger")))
	left, err := os.ReadDir(w.m.runNetwork(n.ID))
	must(t, err)
	if len(left) != 0 {
		t.Errorf("it has made %v", left)
	}
}

// TestAdoptKeepsNetworkInUse watches the name by which a container holds its
// network while another supervisor takes the container over: it stays there,
// whether the record has been written anew or not.
func TestAdoptKeepsNetworkInUse(t *testing.T) {
	w := newWorld(t)
	n := w.network(NetworkConfig{Name: "a"})
	c := w.container("c", SandboxConfig{}, "a")
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	must(t, err)
	defer unix.Close(fd)
	name := w.m.endpointPath(n.ID, c.cfg.ContainerID)
	_, err = unix.InotifyAddWatch(fd, filepath.Dir(name), unix.IN_DELETE|unix.IN_MOVED_FROM)
	must(t, err)
	for range 2 {
		must(t, w.m.announce(&c.record))
		must(t, w.m.writeSandbox(&c.record))
	}
	must(t, w.m.announce(&c.record))
	buf := make([]byte, 4096)
	if k, err := unix.Read(fd, buf); err == nil && strings.Contains(strings.ReplaceAll(string(buf[:k]), "."+filepath.Base(name), ""), filepath.Base(name)) {
		t.Errorf("for a moment the name was not there")
	}
	record, err := os.Stat(w.m.sandboxRecord(c.cfg.ContainerID))
	must(t, err)
	if link, err := os.Stat(name); err != nil || !os.SameFile(record, link) {
		t.Errorf("the name is not the record's (%v)", err)
	}
	left, err := os.ReadDir(filepath.Dir(name))
	must(t, err)
	for _, e := range left {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s is left", e.Name())
		}
	}
}
