package netbridge

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"compose/internal/statefile"
	"compose/netbridge/rtnl"
)

func TestSubnetsAvoidWhatTheHostUses(t *testing.T) {
	w := newWorld(t)
	w.host.sh(t, `ip link add dummy0 type bridge; ip link set dummy0 up
ip addr add 172.17.3.4/24 dev dummy0
ip route add 172.18.0.0/15 via 192.0.2.1
ip route add 172.20.5.0/24 via 192.0.2.1 table 77
ip route add blackhole 172.21.0.0/24
ip route add 128.0.0.0/1 via 192.0.2.1`)
	if n := w.network(NetworkConfig{Name: "first"}); n.Subnets[0].Prefix.String() != "172.22.0.0/16" {
		t.Errorf("chose %s", n.Subnets[0].Prefix)
	}
	// A network that is down is on record all the same.
	other := w.manager(t.TempDir())
	n, err := other.CreateNetwork(t.Context(), NetworkConfig{Name: "first"})
	must(t, err)
	if n.Subnets[0].Prefix.String() != "172.23.0.0/16" {
		t.Errorf("another root chose %s", n.Subnets[0].Prefix)
	}
	must(t, other.RemoveNetwork(t.Context(), "first"))
	w.host.sh(t, "ip route add 172.16.0.0/12 via 192.0.2.1")
	if n := w.network(NetworkConfig{Name: "second"}); n.Subnets[0].Prefix.String() != "192.168.0.0/20" {
		t.Errorf("chose %s", n.Subnets[0].Prefix)
	}
	w.host.sh(t, "ip route add 192.168.0.0/16 via 192.0.2.1")
	_, err = w.m.CreateNetwork(t.Context(), NetworkConfig{Name: "third"})
	if !errors.Is(err, errNoSubnet) {
		t.Errorf("no room left: %v", err)
	}
}

func TestCreateNetworkErrors(t *testing.T) {
	w := newWorld(t)
	w.network(NetworkConfig{Name: "taken", Subnets: []Subnet{{Prefix: netip.MustParsePrefix("10.5.0.0/24")}}})
	for want, cfg := range map[string]NetworkConfig{
		"network exists already": {Name: "taken"},
		`unknown driver "fancy"`: {Name: "x", Driver: "fancy"},
		"bad name":               {Name: "../x"},
		"did you mean 10.6.0.0/24": {
			Name: "x", Subnets: []Subnet{{Prefix: netip.MustParsePrefix("10.6.0.7/24")}},
		},
		"overlaps 10.5.0.0/24": {
			Name: "x", Subnets: []Subnet{{Prefix: netip.MustParsePrefix("10.5.0.0/16")}},
		},
		"is no MTU":             {Name: "x", Options: map[string]string{optionMTU: "big"}},
		"not an address of the": {Name: "x", Subnets: []Subnet{{Prefix: netip.MustParsePrefix("10.7.0.0/24"), Gateway: netip.MustParseAddr("10.8.0.1")}}},
	} {
		_, err := w.m.CreateNetwork(t.Context(), cfg)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := w.m.CreateNetwork(t.Context(), NetworkConfig{Name: "taken"}); !errors.Is(err, ErrExists) {
		t.Errorf("not ErrExists: %v", err)
	}
	if err := w.m.RemoveNetwork(t.Context(), "nope"); !errors.Is(err, ErrNotFound) {
		t.Errorf("not ErrNotFound: %v", err)
	}
	c := w.container("holder", SandboxConfig{}, "taken")
	if err := w.m.RemoveNetwork(t.Context(), "taken"); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "holder") {
		t.Errorf("in use: %v", err)
	}
	must(t, c.Close(t.Context()))
}

// TestBridgeOfItsOwn draws an ID that would give a network another's bridge.
func TestBridgeOfItsOwn(t *testing.T) {
	w := newWorld(t)
	one := w.network(NetworkConfig{Name: "one"})
	two := &Network{ID: one.ID, Name: "two", Driver: "bridge"}
	must(t, w.m.nameBridge(two))
	if two.Bridge == one.Bridge || !strings.HasPrefix(two.Bridge, "cb"+w.m.tag+two.ID[:4]) {
		t.Errorf("%s with the ID %s beside %s", two.Bridge, two.ID, one.Bridge)
	}
}

// TestReboot takes away what a reboot takes away.
func TestReboot(t *testing.T) {
	w := newWorld(t)
	n := w.network(NetworkConfig{Name: "auto"})
	w.network(NetworkConfig{Name: "fixed", Subnets: []Subnet{{Prefix: netip.MustParsePrefix("10.9.0.0/24")}}})
	s := w.container("c", SandboxConfig{}, "auto")
	s.ns.Close() // with the machine dies the container, without a farewell
	w.host.sh(t, "nft flush ruleset; ip link del "+n.Bridge+"; echo 0 >/proc/sys/net/ipv4/ip_forward; ip link add d0 type bridge; ip link set d0 up; ip addr add 172.17.9.9/16 dev d0")
	must(t, w.m.EnsureUp(t.Context(), "auto"))
	n, err := w.m.Network("auto")
	must(t, err)
	if n.Subnets[0].Prefix.String() != "172.18.0.0/16" {
		t.Errorf("a subnet of our own choice that is taken by now must move: %s", n.Subnets[0].Prefix)
	}
	c := w.container("again", SandboxConfig{}, "auto")
	w.outside.serve(t, "world", "0.0.0.0:80")
	c.answers(t, "tcp", "192.0.2.1:80", "world 192.0.2.2")
	must(t, w.m.EnsureUp(t.Context(), "fixed"))
}

// TestHalfRemoved finds what a removal that was killed may leave: a bridge
// without a firewall, which the next container is not to meet, and one in the
// group of its ports, which is ours all the same.
func TestHalfRemoved(t *testing.T) {
	w := newWorld(t)
	n := w.network(NetworkConfig{Name: "net", Options: map[string]string{optionBridge: "named"}})
	must(t, os.RemoveAll(w.m.runNetwork(n.ID)))
	must(t, w.m.closeFirewall(n, true))
	s, err := w.m.netlink()
	must(t, err)
	b := new(rtnl.Batch)
	b.SetGroup("named", portGroup(w.m.bridgeIndex("named")))
	must(t, s.Run(b))
	c := w.container("c", SandboxConfig{}, "net")
	w.outside.serve(t, "world", "0.0.0.0:80")
	c.answers(t, "tcp", "192.0.2.1:80", "world 192.0.2.2")
	must(t, c.Close(t.Context()))
	must(t, w.m.RemoveNetwork(t.Context(), "net"))
	if w.m.bridgeIndex("named") != 0 {
		t.Error("the bridge is still there")
	}
}

// TestHalfMade finds what a creation that was killed leaves while the record is
// on its way to the disk: a network, for whoever uses it or takes it away.
func TestHalfMade(t *testing.T) {
	w := newWorld(t)
	for _, use := range []bool{true, false} {
		n := w.network(NetworkConfig{Name: "net"})
		record := w.m.recordPath("net")
		must(t, statefile.RemoveKept(record))
		must(t, statefile.WriteDraft(record, n))
		m := w.manager(w.m.roots.State) // another process
		if list, err := m.Networks(); err != nil || len(list) != 1 || list[0].ID != n.ID {
			t.Errorf("on record: %v, %v", list, err)
		}
		if _, err := m.CreateNetwork(t.Context(), NetworkConfig{Name: "net"}); !errors.Is(err, ErrExists) {
			t.Errorf("once more: %v", err)
		}
		if use {
			must(t, w.container("c", SandboxConfig{}, "net").Close(t.Context()))
			must(t, m.EnsureUp(t.Context(), "net"))
			if _, err := os.Lstat(record); err != nil {
				t.Errorf("in use, and not on disk: %v", err)
			}
			must(t, statefile.WriteDraft(record, n)) // and one that got its name, and has been made again
		}
		must(t, m.RemoveNetwork(t.Context(), "net"))
		if left, err := os.ReadDir(m.roots.Networks()); err != nil || len(left) > 0 || m.bridgeIndex(n.Bridge) != 0 {
			t.Errorf("left: %v, %v, the bridge %d", left, err, m.bridgeIndex(n.Bridge))
		}
	}
}

func TestAddresses(t *testing.T) {
	w := newWorld(t)
	w.network(NetworkConfig{Name: "net", EnableIPv6: true, Subnets: []Subnet{{
		Prefix: netip.MustParsePrefix("10.5.0.0/29"), Aux: map[string]netip.Addr{"router": netip.MustParseAddr("10.5.0.2")},
	}}})
	fixed := netip.MustParseAddr("10.5.0.4")
	b := w.container("b", SandboxConfig{Endpoints: []EndpointConfig{{Network: "net", IPv4: fixed, MAC: "02:00:00:00:00:09"}}})
	if got := b.sh(t, "ip -o link show eth0"); !strings.Contains(got, "02:00:00:00:00:09") {
		t.Errorf("MAC: %s", got)
	}
	_, err := w.m.NewSandbox(t.Context(), SandboxConfig{ContainerID: testID("thief"), ContainerName: "thief", Endpoints: []EndpointConfig{{Network: "net", IPv4: fixed}}})
	var taken *AddressInUseError
	if !errors.As(err, &taken) || taken.Holder != "b" {
		t.Errorf("taken address: %v", err)
	}
	a := w.container("a", SandboxConfig{}, "net")
	c := w.container("c", SandboxConfig{}, "net")
	d := w.container("d", SandboxConfig{}, "net")
	if a.ip().String() != "10.5.0.3" || c.ip().String() != "10.5.0.5" || d.ip().String() != "10.5.0.6" {
		t.Errorf("addresses: %s %s %s", a.ip(), c.ip(), d.ip())
	}
	if got := a.Endpoints()[0].MAC; got != "02:42:0a:05:00:03" {
		t.Errorf("MAC: %s", got)
	}
	if _, err := w.m.NewSandbox(t.Context(), SandboxConfig{ContainerID: testID("e"), ContainerName: "e", Endpoints: []EndpointConfig{{Network: "net"}}}); err == nil || !strings.Contains(err.Error(), "no free address left in 10.5.0.0/29") {
		t.Errorf("a full network: %v", err)
	}
	// IPv6 between containers.
	a.hostNS.serve(t, "a", "[::]:80")
	c.answers(t, "tcp", "["+a.Endpoints()[0].IPv6.String()+"]:80", "a "+c.Endpoints()[0].IPv6.String())
	// What is given back is free at once, and found by those who remember it.
	c.answers(t, "tcp", "10.5.0.3:80", "a ")
	must(t, a.Close(t.Context()))
	again := w.container("a2", SandboxConfig{}, "net")
	again.hostNS.serve(t, "a2", "0.0.0.0:80")
	c.answers(t, "tcp", "10.5.0.3:80", "a2 ")
	if _, err := os.Stat(w.m.sandboxRecord(testID("e"))); !os.IsNotExist(err) {
		t.Errorf("a failed sandbox left its record: %v", err)
	}
}

func TestTwoNetworks(t *testing.T) {
	w := newWorld(t)
	w.network(NetworkConfig{Name: "back", Internal: true})
	w.network(NetworkConfig{Name: "front"})
	w.network(NetworkConfig{Name: "other"})
	c := w.container("c", SandboxConfig{Endpoints: []EndpointConfig{
		{Network: "back", Priority: 100}, {Network: "other"}, {Network: "front", Priority: 5},
	}, Sysctls: map[string]string{"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.conf.eth1.log_martians": "1"}})
	if got := c.sh(t, "ip -4 -o route show default"); !strings.Contains(got, "via "+c.Endpoints()[2].Gateway.String()+" dev eth2") {
		t.Errorf("default route: %s", got)
	}
	if got := c.sh(t, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/conf/eth1/log_martians"); got != "0\n1\n" {
		t.Errorf("sysctls: %q", got)
	}
	if got := c.sh(t, "ip -6 -o addr show dev eth1; ip -6 -o addr show dev lo"); !strings.Contains(got, "::1/128") || strings.Contains(got, "fe80") {
		t.Errorf("IPv6 addresses: %s", got)
	}
	back := w.container("b", SandboxConfig{}, "back")
	back.hostNS.serve(t, "b", "0.0.0.0:80")
	c.answers(t, "tcp", back.ip().String()+":80", "b ")
	if got := back.sh(t, "ip route show default"); got != "" {
		t.Errorf("an internal network has a default route: %s", got)
	}
	none := w.container("none", SandboxConfig{Loopback: true})
	if got := none.sh(t, "ip -o link | wc -l; ip -o addr show dev lo | wc -l"); got != "1\n2\n" {
		t.Errorf("network_mode none: %q", got)
	}
}

// TestRemoveBesideStart has containers come and go on a network that each of
// them makes and removes: no start may lose the network under its feet.
func TestRemoveBesideStart(t *testing.T) {
	w := newWorld(t)
	var workers sync.WaitGroup
	for i := range 3 {
		m := w.manager(w.m.roots.State)
		workers.Go(func() {
			for round := range 12 {
				name := fmt.Sprintf("c%d-%d", i, round)
				cfg := SandboxConfig{ContainerID: testID(name), ContainerName: name, Endpoints: []EndpointConfig{{Network: "passing"}}}
				var s *Sandbox
				for s == nil {
					if _, err := m.CreateNetwork(t.Context(), NetworkConfig{Name: "passing"}); err != nil && !errors.Is(err, ErrExists) {
						t.Errorf("%s: %v", name, err)
						return
					}
					var err error
					if s, err = m.NewSandbox(t.Context(), cfg); err != nil && !errors.Is(err, ErrNotFound) {
						t.Errorf("%s: %v", name, err)
						return
					}
				}
				if err := s.Close(t.Context()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if err := m.RemoveNetwork(t.Context(), "passing"); err != nil && !errors.Is(err, ErrInUse) && !errors.Is(err, ErrNotFound) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	workers.Wait()
}
