package netbridge

import (
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFirstPacket sends to a container at once, while other links come and go:
// the kernel then takes its time to see that a bridge has got a carrier.
func TestFirstPacket(t *testing.T) {
	w := newWorld(t)
	other := newNS(t)
	for range 5 {
		w.network(NetworkConfig{Name: "net"})
		other.sh(t, "for i in 1 2 3; do ip link add a$i type veth peer name b$i; ip link set a$i up; ip link set b$i up; ip link del a$i; done")
		s, err := w.m.NewSandbox(t.Context(), SandboxConfig{ContainerID: testID("c"), ContainerName: "c", Endpoints: []EndpointConfig{{Network: "net"}}})
		must(t, err)
		c := &container{s, &hostNS{file: s.NetNS()}}
		c.hostNS.serve(t, "c", "0.0.0.0:80")
		if n := w.host.sentAgain(t, c.ip().String()+":80"); n != 0 {
			t.Errorf("the first packets are lost: %d were sent again", n)
		}
		must(t, s.Close(t.Context()))
		must(t, w.m.RemoveNetwork(t.Context(), "net"))
	}
}

// sentAgain connects from the namespace and returns how many packets the kernel
// had to send more than once for that.
func (h *hostNS) sentAgain(t testing.TB, addr string) (n uint32) {
	t.Helper()
	must(t, h.run(func() error {
		c, err := net.DialTimeout("tcp", addr, patience)
		if err != nil {
			return err
		}
		defer c.Close()
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			return err
		}
		var info *unix.TCPInfo
		var infoErr error
		err = raw.Control(func(fd uintptr) { info, infoErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
		if err != nil {
			return err
		}
		if infoErr == nil {
			n = info.Total_retrans
		}
		return infoErr
	}))
	return n
}

// TestPortHasNoAddress: the host has no business on the ports of its bridges,
// and the routes of an address make each further port slower to connect.
func TestPortHasNoAddress(t *testing.T) {
	w := newWorld(t)
	w.network(NetworkConfig{Name: "net", EnableIPv6: true})
	s, err := w.m.NewSandbox(t.Context(), SandboxConfig{ContainerID: testID("c"), ContainerName: "c", Endpoints: []EndpointConfig{{Network: "net"}}})
	must(t, err)
	defer s.Close(t.Context())
	port := s.record.Endpoints[0].Veth
	if have := w.host.sh(t, "ip link show dev "+port); !strings.Contains(have, "master cb") {
		t.Fatalf("no port: %s", have)
	}
	if have := w.host.sh(t, "ip -o addr show dev "+port); have != "" {
		t.Errorf("it has %s", have)
	}
}
