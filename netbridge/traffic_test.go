package netbridge

import (
	"fmt"
	"net/netip"
	"testing"
)

func TestTraffic(t *testing.T) {
	w := newWorld(t)
	w.network(NetworkConfig{Name: "one"})
	w.network(NetworkConfig{Name: "two"})
	w.network(NetworkConfig{Name: "closed", Internal: true})
	w.outside.serve(t, "world", "0.0.0.0:80")
	w.host.serve(t, "secret", "127.0.0.1:9999")
	w.host.serve(t, "hostservice", "0.0.0.0:7000")

	a := w.container("a", SandboxConfig{Ports: []PortMapping{
		{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"},
		{HostPort: 8080, ContainerPort: 80, Protocol: "udp"},
		{HostPort: 8081, ContainerPort: 80, Protocol: "tcp", HostIP: netip.MustParseAddr("127.0.0.1")},
	}}, "one")
	b := w.container("b", SandboxConfig{}, "one")
	c := w.container("c", SandboxConfig{}, "two")
	d := w.container("d", SandboxConfig{}, "closed")
	for name, s := range map[string]*container{"a": a, "b": b, "c": c, "d": d} {
		s.hostNS.serve(t, name, "0.0.0.0:80")
	}
	gateway := a.Endpoints()[0].Gateway

	for _, proto := range []string{"tcp", "udp"} {
		t.Run(proto, func(t *testing.T) {
			// Inside one network, and out under the host's address.
			b.answers(t, proto, a.ip().String()+":80", "a "+b.ip().String())
			a.answers(t, proto, "192.0.2.1:80", "world 192.0.2.2")
			a.answers(t, proto, gateway.String()+":7000", "hostservice")
			// Not from network to network, nor into or out of an internal one.
			wantNone(t, c.call(proto, a.ip().String()+":80"))
			wantNone(t, a.call(proto, d.ip().String()+":80"))
			wantNone(t, d.call(proto, "192.0.2.1:80"))
			wantNone(t, w.outside.call(proto, a.ip().String()+":80"))
			// Published: from outside, the host (any of its addresses), the
			// container itself, its network and other networks.
			for _, ns := range []*hostNS{w.outside, w.host, a.hostNS, b.hostNS, c.hostNS} {
				ns.answers(t, proto, "192.0.2.2:8080", "a ")
			}
			w.outside.answers(t, proto, "192.0.2.2:8080", "a 192.0.2.1")
			w.host.answers(t, proto, "127.0.0.1:8080", "a "+gateway.String())
			w.host.answers(t, proto, "[::1]:8080", "a ")
			b.answers(t, proto, gateway.String()+":8080", "a ")
		})
	}
	w.host.answers(t, "tcp", "127.0.0.1:8081", "a ")
	wantNone(t, w.host.call("tcp", "192.0.2.2:8081"))
	wantNone(t, w.outside.call("tcp", "192.0.2.2:8081"))

	t.Run("loopback of the host", func(t *testing.T) {
		// Even with a route for it and the address rewritten nowhere.
		a.sh(t, "ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.0/8 via "+gateway.String()+"; echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet")
		wantNone(t, a.call("tcp", "127.0.0.1:9999"))
		wantNone(t, a.call("tcp", "127.0.0.1:8081"))
		w.outside.sh(t, "ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.0/8 via 192.0.2.2; echo 1 >/proc/sys/net/ipv4/conf/up1/route_localnet")
		wantNone(t, w.outside.call("tcp", "127.0.0.1:8081"))
	})
	t.Run("firewall flushed", func(t *testing.T) {
		w.host.sh(t, "nft flush ruleset")
		w.host.answers(t, "tcp", "127.0.0.1:8080", "a ")
		w.outside.answers(t, "tcp", "192.0.2.2:8080", "a ")
		must(t, w.m.EnsureUp(t.Context(), "one"))
		w.outside.answers(t, "tcp", "192.0.2.2:8080", "a 192.0.2.1")
		wantNone(t, b.call("tcp", fmt.Sprint(c.ip(), ":80")))
	})
}
