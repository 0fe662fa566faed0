package netbridge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"compose/internal/roots"
	"compose/netbridge/rtnl"

	"golang.org/x/sys/unix"
)

// world is a host of the test's own: a network namespace with an uplink
// (192.0.2.2) to another one (192.0.2.1) that plays the rest of the world.
type world struct {
	t             testing.TB
	host, outside *hostNS
	m             *Manager
}

func newNS(t testing.TB) *hostNS {
	t.Helper()
	h := &hostNS{}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		var err error
		h.file, err = currentNS()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.file.Close() })
	h.sh(t, "ip link set lo up")
	return h
}

func (h *hostNS) sh(t testing.TB, script string) string {
	t.Helper()
	out, err := h.try(script)
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

func (h *hostNS) try(script string) (out string, err error) {
	err = h.run(func() error {
		data, err := exec.Command("sh", "-ec", script).CombinedOutput()
		out = string(data)
		return err
	})
	return out, err
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, host: newNS(t), outside: newNS(t)}
	var r *rtnl.Socket
	must(t, w.outside.run(func() (err error) { r, err = rtnl.Open(); return err }))
	defer r.Close()
	b := new(rtnl.Batch)
	b.AddVeth(rtnl.Veth{Name: "up1", Index: 2, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, MTU: 1500, PeerNS: int(w.host.file.Fd()), PeerName: "up0"})
	must(t, r.Run(b))
	w.host.sh(t, "ip link set up0 up; ip addr add 192.0.2.2/24 dev up0; ip route add default via 192.0.2.1")
	w.outside.sh(t, "ip addr add 192.0.2.1/24 dev up1; ip route add 172.16.0.0/12 via 192.0.2.2")
	// The kernel takes up to a second to see that the line is there.
	settle := new(rtnl.Batch)
	settle.Settle("up1")
	must(t, r.Run(settle))
	w.outside.sh(t, "until ip link show up1 | grep -q 'state UP'; do sleep 0.01; done")
	w.m = w.manager(t.TempDir())
	t.Cleanup(w.leaks)
	return w
}

// manager opens a manager of another root on the same host.
func (w *world) manager(dir string) *Manager {
	w.t.Helper()
	r, err := roots.New(dir, "")
	must(w.t, err)
	var m *Manager
	must(w.t, w.host.run(func() (err error) { m, err = Open(r); return err }))
	w.t.Cleanup(m.Close)
	return m
}

// leaks removes the networks and looks for what is left of anything.
func (w *world) leaks() {
	all, err := w.m.Networks()
	must(w.t, err)
	for _, n := range all {
		if err := w.m.RemoveNetwork(context.Background(), n.Name); err != nil {
			w.t.Errorf("remove network %s: %v", n.Name, err)
		}
	}
	// The kernel takes interfaces away with their namespaces, in its own time.
	out := "?"
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if out = w.host.sh(w.t, "ip -o link | grep -E ' c[bv]' || true; nft list ruleset | grep -E 'compose-' || true"); out == "" {
			break
		}
	}
	if out != "" {
		w.t.Errorf("left on the host:\n%s", out)
	}
	for _, dir := range []string{w.m.roots.Run + "/networks", w.m.roots.Run + "/sandboxes", w.m.roots.Networks()} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			w.t.Errorf("left in %s: %s", dir, e.Name())
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) network(cfg NetworkConfig) *Network {
	w.t.Helper()
	n, err := w.m.CreateNetwork(context.Background(), cfg)
	must(w.t, err)
	return n
}

func testID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// container is a sandbox with the means to act inside.
type container struct {
	*Sandbox
	*hostNS
}

func (w *world) container(name string, cfg SandboxConfig, networks ...string) *container {
	w.t.Helper()
	cfg.ContainerName, cfg.ContainerID = name, testID(name)
	for _, n := range networks {
		cfg.Endpoints = append(cfg.Endpoints, EndpointConfig{Network: n})
	}
	s, err := w.m.NewSandbox(context.Background(), cfg)
	must(w.t, err)
	w.t.Cleanup(func() { must(w.t, s.Close(context.Background())) })
	return &container{s, &hostNS{file: s.NetNS()}}
}

func (c *container) ip() netip.Addr { return c.Endpoints()[0].IPv4 }

// serve answers every TCP connection and UDP datagram at addr in the namespace
// with who and the peer's address.
func (h *hostNS) serve(t testing.TB, who, addr string) {
	t.Helper()
	must(t, h.run(func() error {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		u, err := net.ListenPacket("udp", addr)
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close(); u.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(c, "%s %s", who, c.RemoteAddr().(*net.TCPAddr).IP)
				c.Close()
			}
		}()
		go func() {
			buf := make([]byte, 100)
			for {
				_, from, err := u.ReadFrom(buf)
				if err != nil {
					return
				}
				_, _ = u.WriteTo(fmt.Appendf(nil, "%s %s", who, from.(*net.UDPAddr).IP), from)
			}
		}()
		return nil
	}))
}

// patience is how long is waited for what must come: only a failure takes it up.
const patience = 2 * time.Minute

// call connects from the namespace and returns the answer, or the error's text:
// soon where none is expected.
func (h *hostNS) call(network, addr string) string {
	return h.callWithin(400*time.Millisecond, network, addr)
}

func (h *hostNS) callWithin(limit time.Duration, network, addr string) string {
	answer := ""
	err := h.run(func() error {
		c, err := net.DialTimeout(network, addr, limit)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(limit))
		if network == "udp" {
			_, _ = c.Write([]byte("hello"))
			buf := make([]byte, 100)
			n, err := c.Read(buf)
			answer = string(buf[:n])
			return err
		}
		data, err := io.ReadAll(c)
		answer = string(data)
		return err
	})
	if err != nil {
		return "error: " + err.Error()
	}
	return answer
}

// answers calls until it hears what it wants: the first datagrams to somebody
// new may be lost, and on a busy machine a call takes its time.
func (h *hostNS) answers(t testing.TB, network, addr, prefix string) {
	t.Helper()
	got, limit := "", 400*time.Millisecond
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if got = h.callWithin(limit, network, addr); strings.HasPrefix(got, prefix) {
			return
		}
		limit = min(limit*3/2, 5*time.Second)
	}
	t.Errorf("got %q, want %q", got, prefix)
}

func wantNone(t testing.TB, got string) {
	t.Helper()
	if !strings.HasPrefix(got, "error: ") {
		t.Errorf("got an answer %q where there must be none", got)
	}
}
