package netbridge

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// TestEndpointOptions looks at interfaces from inside.
func TestEndpointOptions(t *testing.T) {
	w := newWorld(t)
	w.network(NetworkConfig{Name: "one"})
	w.network(NetworkConfig{Name: "two", Options: map[string]string{optionPrefix: "port"}})
	other := w.container("shop-db-1", SandboxConfig{}, "one")
	c := w.container("c", SandboxConfig{Endpoints: []EndpointConfig{
		{Network: "two"},
		{
			Network: "one", Links: []string{"shop-db-1:store", "nobody:ghost"},
			LinkLocal: []netip.Addr{netip.MustParseAddr("169.254.7.7"), netip.MustParseAddr("fe80::77")},
			Options:   map[string]string{optionIfname: "front.1", optionSysctls: "net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.neigh.ifname.mcast_solicit=7"},
		},
	}})
	for script, want := range map[string]string{
		"ip -o link | cut -d: -f2 | cut -d@ -f1 | tr -d ' \n'":                       "front.1loport0",
		"ip -o -4 addr show front.1 | grep -c 169.254.7.7/16":                        "1\n",
		"ip -o -6 addr show front.1 | grep -c fe80::77/64":                           "1\n",
		"cat /proc/sys/net/ipv4/conf/front.1/log_martians | tr -d '\n'":              "1",
		"cat /proc/sys/net/ipv4/neigh/front.1/mcast_solicit | tr -d '\n'":            "7",
		"ip -o route show default | grep -c port0":                                   "1\n",
		"cat /proc/sys/net/ipv4/conf/port0/log_martians | tr -d '\n'":                "0",
		"busybox nslookup -type=a store 127.0.0.11 | grep -c " + other.ip().String(): "1\n",
	} {
		if strings.Contains(script, "ip -o link |") {
			got := strings.Fields(c.sh(t, "ip -o link | cut -d: -f2 | cut -d@ -f1"))
			slices.Sort(got)
			if strings.Join(got, "") != want {
				t.Errorf("its interfaces: %v", got)
			}
			continue
		}
		if got := c.sh(t, script); got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
	if got := other.resolve(t, "store"); !strings.HasPrefix(got, "error") {
		t.Errorf("a link is its own container's: %s", got)
	}
	if got := c.resolve(t, "ghost"); !strings.HasPrefix(got, "error") {
		t.Errorf("a link to nobody: %s", got)
	}
	// One more, while it runs.
	w.network(NetworkConfig{Name: "three"})
	must(t, c.Connect(t.Context(), EndpointConfig{Network: "three", Options: map[string]string{optionIfname: "late", optionSysctls: "net.ipv4.conf.IFNAME.log_martians=1"}}))
	if got := c.sh(t, "cat /proc/sys/net/ipv4/conf/late/log_martians"); got != "1\n" {
		t.Errorf("a late interface: %q", got)
	}
	must(t, c.Disconnect(t.Context(), "three"))

	for want, e := range map[string]EndpointConfig{
		"no name of an interface":    {Options: map[string]string{optionIfname: "a/b"}},
		"an interface front.1 alre":  {Options: map[string]string{optionIfname: "front.1"}},
		"of the form net.ipv4.conf":  {Options: map[string]string{optionSysctls: "net.core.somaxconn=1"}},
		"no option com.docker.netwo": {Options: map[string]string{"com.docker.network.endpoint.colour": "red"}},
		"invalid link-local IP":      {LinkLocal: []netip.Addr{netip.MustParseAddr("10.1.1.1")}},
		"set the parameter net.ipv4": {Options: map[string]string{optionSysctls: "net.ipv4.conf.IFNAME.nonsense=1"}},
	} {
		e.Network = "three"
		if err := c.Connect(t.Context(), e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestNetworkOptions shows each of Docker's driver options at work.
func TestNetworkOptions(t *testing.T) {
	w := newWorld(t)
	n := w.network(NetworkConfig{Name: "shy", Options: map[string]string{
		optionBridge: "br-shy", optionICC: "false", optionBinding: "192.0.2.2", optionMasquerade: "false", optionMTU: "1400",
	}})
	w.host.sh(t, "ip link show br-shy | grep -q 'mtu 1400'")
	w.outside.serve(t, "world", "0.0.0.0:80")
	a := w.container("a", SandboxConfig{Ports: []PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}}, "shy")
	b := w.container("b", SandboxConfig{}, "shy")
	a.hostNS.serve(t, "a", "0.0.0.0:80")
	wantNone(t, b.call("tcp", a.ip().String()+":80"))
	w.outside.answers(t, "tcp", "192.0.2.2:8080", "a ")
	wantNone(t, b.call("tcp", "192.0.2.2:8080")) // by no detour
	w.host.answers(t, "tcp", "192.0.2.2:8080", "a ")
	wantNone(t, w.host.call("tcp", "127.0.0.1:8080"))
	b.answers(t, "tcp", "192.0.2.1:80", "world "+b.ip().String()) // from its own address
	if ports := a.Ports(); len(ports) != 1 || ports[0].HostIP.String() != "192.0.2.2" {
		t.Errorf("published: %v", ports)
	}
	_, err := w.m.CreateNetwork(t.Context(), NetworkConfig{Name: "again", Options: map[string]string{optionBridge: "br-shy"}})
	if err == nil || !strings.Contains(err.Error(), "there is an interface br-shy") {
		t.Errorf("a name that is taken: %v", err)
	}
	// What a reboot takes comes back under its name, and only ours goes.
	must(t, a.Close(t.Context()))
	must(t, b.Close(t.Context()))
	w.host.sh(t, "ip link del br-shy")
	must(t, w.m.EnsureUp(t.Context(), "shy"))
	w.host.sh(t, "ip link show br-shy; ip link del br-shy; ip link add br-shy type bridge")
	must(t, w.m.RemoveNetwork(t.Context(), "shy"))
	w.host.sh(t, "ip link show br-shy; ip link del br-shy")

	plain := w.network(NetworkConfig{Name: "plain", Internal: true, Options: map[string]string{optionGateway4: gatewayIsolated}})
	if out := w.host.sh(t, "ip -o -4 addr show "+plain.Bridge); out != "" {
		t.Errorf("the host is on an isolated network: %s", out)
	}
	for want, options := range map[string]map[string]string{
		"is no name of an interface":         {optionBridge: "a-name-that-is-too-long"},
		"neither true nor false":             {optionICC: "maybe"},
		"is not an IPv4 address":             {optionBinding: "::1"},
		"only be used for an internal":       {optionGateway4: gatewayIsolated},
		"there is no gateway mode \"fancy\"": {optionGateway6: "fancy"},
		"has no option com.docker.network.b": {"com.docker.network.bridge.trusted_host_interfaces": "eth0"},
	} {
		if _, err := w.m.CreateNetwork(t.Context(), NetworkConfig{Name: "x", Options: options}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	_ = n
}

// TestRoutedGateway opens published ports at the container's own address.
func TestRoutedGateway(t *testing.T) {
	w := newWorld(t)
	w.network(NetworkConfig{Name: "routed", Options: map[string]string{optionGateway4: gatewayRouted}})
	w.outside.serve(t, "world", "0.0.0.0:80")
	c := w.container("c", SandboxConfig{Ports: []PortMapping{{ContainerPort: 80, Protocol: "tcp"}}}, "routed")
	c.hostNS.serve(t, "c", "0.0.0.0:80")
	c.hostNS.serve(t, "closed", "0.0.0.0:81")
	w.outside.answers(t, "tcp", c.ip().String()+":80", "c ")
	wantNone(t, w.outside.call("tcp", c.ip().String()+":81"))
	wantNone(t, w.outside.call("udp", c.ip().String()+":80"))
	c.answers(t, "tcp", "192.0.2.1:80", "world "+c.ip().String()) // from its own address
	for _, p := range c.Ports() {
		if p.HostIP.Is4() {
			t.Errorf("it has a port of the host: %v", p)
		}
	}
	must(t, c.Close(t.Context()))
}

// TestWithoutIPv4 runs containers on a network that has only IPv6.
func TestWithoutIPv4(t *testing.T) {
	w := newWorld(t)
	w.host.sh(t, "ip addr add 2001:db8:1::2/64 dev up0 nodad")
	w.outside.sh(t, "ip addr add 2001:db8:1::1/64 dev up1 nodad")
	w.outside.serve(t, "world", "[::]:80")
	n := w.network(NetworkConfig{Name: "six", NoIPv4: true, EnableIPv6: true})
	if len(n.Subnets) != 1 || !n.Subnets[0].Prefix.Addr().Is6() {
		t.Fatalf("its subnets: %v", n.Subnets)
	}
	a := w.container("a", SandboxConfig{Ports: []PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}}, "six")
	b := w.container("b", SandboxConfig{}, "six")
	if out := b.sh(t, "ip -o -4 addr show eth0; ip -4 route"); out != "" {
		t.Errorf("it has IPv4: %s", out)
	}
	a.hostNS.serve(t, "a", "[::]:80")
	if got := b.resolve(t, "a"); got != a.Endpoints()[0].IPv6.String() {
		t.Errorf("a: %s", got)
	}
	b.answers(t, "tcp", netip.AddrPortFrom(a.Endpoints()[0].IPv6, 80).String(), "a ")
	b.answers(t, "tcp", "[2001:db8:1::1]:80", "world 2001:db8:1::2")
	// The kernel translates, so the container sees who called; the rest is the proxy's.
	w.outside.answers(t, "tcp", "[2001:db8:1::2]:8080", "a 2001:db8:1::1")
	w.host.answers(t, "tcp", "[::1]:8080", "a ")
	w.host.answers(t, "tcp", "127.0.0.1:8080", "a ")
	for want, cfg := range map[string]NetworkConfig{
		"must be enabled":   {Name: "x", NoIPv4: true},
		"enable_ipv4: fals": {Name: "x", NoIPv4: true, Subnets: []Subnet{{Prefix: netip.MustParsePrefix("10.7.0.0/24")}}},
	} {
		if _, err := w.m.CreateNetwork(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	must(t, a.Close(t.Context()))
	must(t, b.Close(t.Context()))
}

// TestMacvlan puts containers on the wire of the host's uplink.
func TestMacvlan(t *testing.T) {
	w := newWorld(t)
	w.outside.serve(t, "world", "0.0.0.0:80")
	lan := Subnet{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Gateway: netip.MustParseAddr("192.0.2.1"), Range: netip.MustParsePrefix("192.0.2.64/26")}
	w.network(NetworkConfig{Name: "lan", Driver: "macvlan", Subnets: []Subnet{lan}, Options: map[string]string{optionParent: "up0"}})
	w.network(NetworkConfig{Name: "inside"})
	a := w.container("a", SandboxConfig{}, "lan")
	b := w.container("b", SandboxConfig{
		Ports:     []PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}},
		Endpoints: []EndpointConfig{{Network: "lan"}, {Network: "inside", Priority: 1}},
	})
	if got := a.ip().String(); got != "192.0.2.64" {
		t.Errorf("its address: %s", got)
	}
	for _, c := range []*container{a, b} {
		c.sh(t, "ip -d link show eth0 | grep -q 'macvlan mode bridge'")
	}
	b.hostNS.serve(t, "b", "0.0.0.0:80")
	a.answers(t, "tcp", "192.0.2.1:80", "world "+a.ip().String())
	a.answers(t, "tcp", b.ip().String()+":80", "b "+a.ip().String())
	if got := a.resolve(t, "b"); got != b.ip().String() {
		t.Errorf("b: %s", got)
	}
	w.outside.answers(t, "tcp", b.ip().String()+":80", "b 192.0.2.1")
	w.host.answers(t, "tcp", "127.0.0.1:8080", "b ") // by way of the bridge
	must(t, a.Close(t.Context()))
	must(t, a.m.EnsureUp(t.Context(), "lan"))

	// While it runs.
	c := w.container("c", SandboxConfig{}, "inside")
	must(t, c.Connect(t.Context(), EndpointConfig{Network: "lan"}))
	c.answers(t, "tcp", "192.0.2.1:80", "world ")
	must(t, c.Disconnect(t.Context(), "lan"))
	must(t, c.Close(t.Context()))
	must(t, b.Close(t.Context()))

	// Without a parent, and with modes.
	n := w.network(NetworkConfig{Name: "loose", Driver: "macvlan", Options: map[string]string{optionMacvlanMode: "bridge"}})
	if !n.Internal {
		t.Error("a macvlan without a parent leads nowhere")
	}
	d, e := w.container("d", SandboxConfig{}, "loose"), w.container("e", SandboxConfig{}, "loose")
	d.hostNS.serve(t, "d", "0.0.0.0:80")
	e.answers(t, "tcp", d.ip().String()+":80", "d ")
	if out := e.sh(t, "ip route show default"); out != "" {
		t.Errorf("it has a way out: %s", out)
	}
	must(t, d.Close(t.Context()))
	must(t, e.Close(t.Context()))
	w.network(NetworkConfig{Name: "private", Driver: "macvlan", Options: map[string]string{optionMacvlanMode: "private"}})
	f, g := w.container("f", SandboxConfig{}, "private"), w.container("g", SandboxConfig{}, "private")
	f.hostNS.serve(t, "f", "0.0.0.0:80")
	wantNone(t, g.call("tcp", f.ip().String()+":80"))
	must(t, f.Close(t.Context()))
	must(t, g.Close(t.Context()))

	for want, options := range map[string]map[string]string{
		"is not valid, 'bridge'":      {optionMacvlanMode: "fancy"},
		"loopback interface is not a": {optionParent: "lo"},
		"there is no interface eth9":  {optionParent: "eth9"},
		"cannot use mode passthru":    {optionParent: "up0", optionMacvlanMode: "passthru"},
	} {
		if _, err := w.m.CreateNetwork(t.Context(), NetworkConfig{Name: "x", Driver: "macvlan", Options: options}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
