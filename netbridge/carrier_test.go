package netbridge

import "testing"

// TestFirstPacket sends to a container at once, while other links come and go:
// the kernel then takes its time to see that a bridge has got a carrier.
func TestFirstPacket(t *testing.T) {
	w := newWorld(t)
	other := newNS(t)
	for range 5 {
		n := w.network(NetworkConfig{Name: "net"})
		other.sh(t, "for i in 1 2 3; do ip link add a$i type veth peer name b$i; ip link set a$i up; ip link set b$i up; ip link del a$i; done")
		s, err := w.m.NewSandbox(t.Context(), SandboxConfig{ContainerID: testID("c"), ContainerName: "c", Endpoints: []EndpointConfig{{Network: "net"}}})
		must(t, err)
		c := &container{s, &hostNS{file: s.NetNS()}}
		c.hostNS.serve(t, "c", "0.0.0.0:80")
		if got := w.host.call("tcp", c.ip().String()+":80"); got != "c "+n.Subnets[0].Gateway.String() {
			t.Errorf("the first packets are lost: %s", got)
		}
		must(t, s.Close(t.Context()))
		must(t, w.m.RemoveNetwork(t.Context(), "net"))
	}
}
