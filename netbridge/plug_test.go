package netbridge

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// TestConnect moves a running container from one network to another: names,
// routes, the world outside and published ports follow it.
func TestConnect(t *testing.T) {
	w := newWorld(t)
	front := w.network(NetworkConfig{Name: "front"})
	w.network(NetworkConfig{Name: "back", EnableIPv6: true, Subnets: []Subnet{
		{Prefix: netip.MustParsePrefix("10.77.0.0/24")}, {Prefix: netip.MustParsePrefix("fd77::/64")},
	}})
	web := w.container("web", SandboxConfig{Ports: []PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}}, "front")
	web.hostNS.serve(t, "web", "0.0.0.0:80")
	db := w.container("db", SandboxConfig{}, "back")
	db.hostNS.serve(t, "db", "0.0.0.0:80")

	must(t, web.Connect(t.Context(), EndpointConfig{Network: "back", Aliases: []string{"shop"}, IPv4: netip.MustParseAddr("10.77.0.9")}))
	if err := web.Connect(t.Context(), EndpointConfig{Network: "back"}); !errors.Is(err, ErrConnected) {
		t.Errorf("connected twice: %v", err)
	}
	if err := web.Connect(t.Context(), EndpointConfig{Network: "nothing"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("connected to nothing: %v", err)
	}
	e := web.Endpoints()[1]
	if e.Interface != "eth1" || e.IPv4.String() != "10.77.0.9" || !e.IPv6.IsValid() {
		t.Errorf("the endpoint: %+v", e)
	}
	web.hostNS.answers(t, "tcp", db.ip().String()+":80", "db 10.77.0.9")
	for _, name := range []string{"web", "shop"} {
		if got := db.resolve(t, name); !strings.Contains(got, "10.77.0.9") {
			t.Errorf("db finds %s at %s", name, got)
		}
	}
	if got := web.resolve(t, "db"); !strings.Contains(got, db.ip().String()) {
		t.Errorf("web finds db at %s", got)
	}
	if err := w.m.RemoveNetwork(t.Context(), "back"); !errors.Is(err, ErrInUse) {
		t.Errorf("removed a network in use: %v", err)
	}

	// Off the first one, everything goes by the second.
	was := web.ip()
	must(t, web.Disconnect(t.Context(), "front"))
	if err := web.Disconnect(t.Context(), "front"); !errors.Is(err, ErrNotConnected) {
		t.Errorf("disconnected twice: %v", err)
	}
	if out := web.sh(t, "ip -o link"); strings.Contains(out, "eth0") || !strings.Contains(out, "eth1") {
		t.Errorf("interfaces:\n%s", out)
	}
	w.outside.answers(t, "tcp", "192.0.2.2:8080", "web ")
	w.outside.serve(t, "world", "0.0.0.0:99")
	web.hostNS.answers(t, "tcp", "192.0.2.1:99", "world ")
	if out := w.host.sh(t, "ip -o link show master "+front.Bridge); out != "" {
		t.Errorf("ports left: %s", out)
	}
	again := w.container("again", SandboxConfig{}, "front")
	if again.ip() != was {
		t.Errorf("the address %s was not given back: the next one is %s", was, again.ip())
	}
	// And back again, while another supervisor takes over that knows nothing of it.
	must(t, web.Connect(t.Context(), EndpointConfig{Network: "front"}))
	if e := web.Endpoints()[1]; e.Interface != "eth0" {
		t.Errorf("the endpoint: %+v", e)
	}
	files := map[string]*os.File{}
	for name, f := range web.Files() {
		files[name] = f
	}
	web.server.Close()
	for _, l := range web.listeners {
		l.close()
	}
	web.closed = true
	m := w.manager(w.m.roots.State)
	cfg := web.cfg
	cfg.Endpoints = []EndpointConfig{{Network: "back"}}
	s, err := m.Adopt(t.Context(), cfg, os.Getpid(), nil, nil, files)
	must(t, err)
	if got := s.Endpoints(); len(got) != 1 || got[0].Network != "back" {
		t.Errorf("adopted with %v", got)
	}
	if out := w.host.sh(t, "ip -o link show master "+front.Bridge+" | wc -l"); strings.TrimSpace(out) != "1" {
		t.Errorf("%s ports left", out)
	}
	w.outside.answers(t, "tcp", "192.0.2.2:8080", "web ")
	// One that has lost all its networks gets a resolver with the next.
	must(t, s.Disconnect(t.Context(), "back"))
	wantNone(t, w.outside.call("tcp", "192.0.2.2:8080"))
	must(t, s.Connect(t.Context(), EndpointConfig{Network: "back"}))
	w.outside.answers(t, "tcp", "192.0.2.2:8080", "web ")
	must(t, s.Close(t.Context()))
}

// TestConnectWayOut gives a container that had no way out one: a default route
// of each family, and its published ports. Without it they go again.
func TestConnectWayOut(t *testing.T) {
	w := newWorld(t)
	w.network(NetworkConfig{Name: "shut", Internal: true})
	w.network(NetworkConfig{Name: "six", EnableIPv6: true})
	c := w.container("c", SandboxConfig{Ports: []PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}}, "shut")
	c.hostNS.serve(t, "c", "0.0.0.0:80")
	c.sh(t, "ip link add eth1 type bridge") // a container may have interfaces of its own
	if len(c.Ports()) != 0 {
		t.Errorf("ports of a container without a way in: %v", c.Ports())
	}
	// A port that another has takes all of it back.
	other := w.container("other", SandboxConfig{Ports: c.cfg.Ports}, "six")
	var taken *PortInUseError
	if err := c.Connect(t.Context(), EndpointConfig{Network: "six"}); !errors.As(err, &taken) || len(c.Endpoints()) != 1 {
		t.Errorf("a port in use: %v, %v", err, c.Endpoints())
	}
	must(t, other.Close(t.Context()))
	must(t, c.Connect(t.Context(), EndpointConfig{Network: "six"}))
	if e := c.Endpoints()[1]; e.Interface != "eth2" {
		t.Errorf("the next free interface is %s", e.Interface)
	}
	w.outside.answers(t, "tcp", "192.0.2.2:8080", "c ")
	w.host.answers(t, "tcp", "[::1]:8080", "c ")
	for _, family := range []string{"-4", "-6"} {
		if got := c.sh(t, "ip "+family+" route show default"); !strings.Contains(got, "dev eth2") {
			t.Errorf("default route %s: %q", family, got)
		}
	}
	for _, p := range c.Ports() {
		if c.Files()[p.key()] == nil {
			t.Errorf("the socket of port %v would not survive us", p)
		}
	}
}

// TestConnectFirst connects a container that began without any network.
func TestConnectFirst(t *testing.T) {
	w := newWorld(t)
	w.network(NetworkConfig{Name: "net"})
	peer := w.container("peer", SandboxConfig{}, "net")
	c := w.container("c", SandboxConfig{Loopback: true})
	for range 2 {
		must(t, c.Connect(t.Context(), EndpointConfig{Network: "net"}))
		if got := c.resolve(t, "peer"); got != peer.ip().String() {
			t.Errorf("it finds its peer at %s", got)
		}
		if got := c.sh(t, "nft list ruleset | grep -c 127.0.0.11"); got != "4\n" {
			t.Errorf("%s rules of the resolver", strings.TrimSpace(got))
		}
		must(t, c.Disconnect(t.Context(), "net"))
	}
	// Its resolver is passed on also while it is on no network.
	files := c.Files()
	c.server.Close()
	c.closed = true
	s, err := w.manager(w.m.roots.State).Adopt(t.Context(), c.cfg, os.Getpid(), nil, nil, files)
	must(t, err)
	must(t, s.Connect(t.Context(), EndpointConfig{Network: "net"}))
	if got := c.resolve(t, "peer"); got != peer.ip().String() {
		t.Errorf("after adoption it finds its peer at %s", got)
	}
	must(t, s.Close(t.Context()))
	if err := s.Connect(t.Context(), EndpointConfig{Network: "net"}); !errors.Is(err, ErrClosed) {
		t.Errorf("one that has ended: %v", err)
	}
}

func TestCheckEndpoint(t *testing.T) {
	w := newWorld(t)
	w.network(NetworkConfig{Name: "net", Subnets: []Subnet{{Prefix: netip.MustParsePrefix("10.5.0.0/29")}}})
	for address, want := range map[string]string{
		"10.9.9.9": "contains the address 10.9.9.9", "fd00::9": "contains the address fd00::9", "10.5.0.1": "gateway 10.5.0.1", "10.5.0.4": "",
	} {
		cfg := EndpointConfig{Network: "net"}
		if a := netip.MustParseAddr(address); a.Is4() {
			cfg.IPv4 = a
		} else {
			cfg.IPv6 = a
		}
		if err := w.m.CheckEndpoint(cfg); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
	if err := w.m.CheckEndpoint(EndpointConfig{Network: "nosuch"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("no network: %v", err)
	}
}
