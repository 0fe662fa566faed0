package netbridge

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// TestOneAnswer: the kernel answers a transaction once, whatever is in it, and
// one that fails with what failed first, leaving nothing behind.
func TestOneAnswer(t *testing.T) {
	host := newNS(t)
	f := &firewall{table: "compose-test", bridges: "cbx", host: host}
	t.Cleanup(f.close)
	quiet := func() {
		t.Helper()
		if n, _, err := unix.Recvfrom(f.nft.fd, make([]byte, 1<<10), unix.MSG_DONTWAIT); err != unix.EAGAIN {
			t.Errorf("an answer of %d bytes is left (%v)", n, err)
		}
	}
	network := &Network{Name: "one", Bridge: "cbx1", Subnets: []Subnet{
		{Prefix: netip.MustParsePrefix("10.1.0.0/16")}, {Prefix: netip.MustParsePrefix("fd00:1::/64")},
	}}
	ports := []publication{
		{Protocol: "tcp", HostIP: netip.IPv4Unspecified(), HostPort: 80, Target: netip.MustParseAddr("10.1.0.2"), Port: 8080},
		{Protocol: "udp", HostIP: netip.MustParseAddr("::1"), HostPort: 53, Target: netip.MustParseAddr("fd00:1::2"), Port: 5353},
		{Protocol: "tcp", Target: netip.MustParseAddr("fd00:1::3"), Port: 81, Open: true},
	}
	if err := f.addNetwork(network); !errors.Is(err, unix.ENOENT) {
		t.Errorf("without a table: %v", err)
	}
	there := func(want bool) {
		t.Helper()
		if got, err := f.there(); err != nil || got != want {
			t.Errorf("there is a table: %v, %v", got, err)
		}
		quiet()
	}
	there(false)
	must(t, f.rebuild([]*Network{network}, ports))
	quiet()
	there(true)
	list := host.sh(t, "nft -n list table inet compose-test")
	for _, want := range []string{
		"elements = { 10.1.0.0/16 }", `"cbx1" . 127.0.0.0/8`, `"cbx1" . fd00:1::/64`,
		"6 . 80 . 0.0.0.0 : 10.1.0.2 . 8080", "17 . 53 . ::1 : fd00:1::2 . 5353", "6 . 81 . fd00:1::3",
		"type filter hook forward priority -10; policy accept;", "dnat ip to", "masquerade", "jump publish",
	} {
		if !strings.Contains(list, want) {
			t.Errorf("there is no %q in\n%s", want, list)
		}
	}
	must(t, f.unpublish(ports[1:]))
	quiet()
	if now := host.sh(t, "nft -n list table inet compose-test"); strings.Contains(now, "5353") || !strings.Contains(now, "8080") {
		t.Errorf("two of three are withdrawn:\n%s", now)
	}
	must(t, f.publish(ports[1:]))

	other := &Network{Name: "two", Bridge: "cbx2", Subnets: []Subnet{{Prefix: netip.MustParsePrefix("10.2.0.0/16")}}}
	err := f.change("test", func(b *nftBatch, s *sets) {
		s.network(b.addElements, other)
		b.deleteElements(s.bridges, []nftables.SetElement{{Key: ifname("nobody")}})
		b.deleteTable(&nftables.Table{Name: "none", Family: nftables.TableFamilyIPv4})
		s.ports(b.addElements, ports)
	})
	if !errors.Is(err, unix.ENOENT) {
		t.Errorf("an element that is not there is deleted: %v", err)
	}
	if now := host.sh(t, "nft -n list table inet compose-test"); now != list {
		t.Errorf("it has become\n%s", now)
	}
	must(t, f.addNetwork(other))
	quiet()
	must(t, f.addNetwork(other)) // it is there
	must(t, f.removeNetwork(other))
	must(t, f.removeNetwork(other)) // it is not
	if now := host.sh(t, "nft -n list table inet compose-test"); now != list {
		t.Errorf("it has become\n%s", now)
	}
	must(t, f.remove())
	quiet()
	if now := host.sh(t, "nft list ruleset"); now != "" {
		t.Errorf("what is left: %s", now)
	}
}

// TestChainsAndRules reads what others have made, more of it than the kernel
// answers at once.
func TestChainsAndRules(t *testing.T) {
	host := newNS(t)
	host.sh(t, `nft 'table ip a { chain plain { }; }; table inet b { chain others { type filter hook forward priority 5; policy drop; }; }'
for i in $(seq 1500); do echo "add rule inet b others ip daddr 10.0.0.1 counter accept comment \"number $i\""; done | nft -f -`)
	var s *nftSocket
	must(t, host.run(func() (err error) {
		s, err = openNft()
		return err
	}))
	defer s.close()
	chains, err := s.chains()
	must(t, err)
	if len(chains) != 2 {
		t.Fatalf("%d chains", len(chains))
	}
	at := slices.IndexFunc(chains, func(c *nftables.Chain) bool { return c.Name == "others" })
	plain, fwd := chains[1-at], chains[at]
	if plain.Name != "plain" || plain.Hooknum != nil || plain.Policy != nil || plain.Table.Family != nftables.TableFamilyIPv4 {
		t.Errorf("have %+v", plain)
	}
	if *fwd.Hooknum != *nftables.ChainHookForward || *fwd.Policy != nftables.ChainPolicyDrop || fwd.Type != nftables.ChainTypeFilter || fwd.Table.Name != "b" {
		t.Errorf("have %+v", fwd)
	}
	rules, err := s.rules(fwd)
	must(t, err)
	own := ownRules(rules, func(tag string) bool { return tag == "number 1500" })
	if len(rules) != 1500 || len(own) != 1 || own[0].Handle == 0 {
		t.Errorf("%d rules, of which %v is the last", len(rules), own)
	}
	if rules, err := s.rules(&nftables.Chain{Name: "none", Table: fwd.Table}); err == nil && len(rules) > 0 {
		t.Errorf("rules of no chain: %v", rules)
	}
}
