package netbridge

import (
	"net/netip"
	"strings"
	"testing"
)

// TestForwardPolicyDrop shows that our traffic passes where others drop what
// they do not know, and that our rules there go with the last network.
func TestForwardPolicyDrop(t *testing.T) {
	for name, c := range map[string]struct {
		setup, list string
		rules       int
	}{
		"iptables-nft": {
			"iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP",
			"iptables-nft -S; ip6tables-nft -S",
			4,
		},
		"DOCKER-USER": {
			"iptables-nft -N DOCKER-USER; iptables-nft -A FORWARD -j DOCKER-USER; iptables-nft -A DOCKER-USER -j DROP",
			"iptables-nft -S",
			2,
		},
		"iptables-legacy": {
			"iptables-legacy -P FORWARD DROP",
			"iptables-legacy -S",
			2,
		},
		"nft": {
			"nft 'table inet f { chain forward { type filter hook forward priority 10; policy drop; ct state established accept; }; }'",
			"nft list table inet f",
			2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.host.sh(t, c.setup)
			before := w.host.sh(t, c.list)
			w.network(NetworkConfig{Name: "one"})
			w.network(NetworkConfig{Name: "two", Options: map[string]string{optionBridge: "br-two"}}) // with rules of its own
			w.outside.serve(t, "world", "0.0.0.0:80")
			a := w.container("a", SandboxConfig{Ports: []PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp", HostIP: netip.IPv4Unspecified()}}}, "one")
			b := w.container("b", SandboxConfig{}, "one")
			two := w.container("c", SandboxConfig{}, "two")
			a.hostNS.serve(t, "a", "0.0.0.0:80")
			b.answers(t, "tcp", a.ip().String()+":80", "a ")
			b.answers(t, "tcp", "192.0.2.1:80", "world ")
			w.outside.answers(t, "tcp", "192.0.2.2:8080", "a ")
			two.answers(t, "tcp", "192.0.2.2:8080", "a ")
			wantNone(t, two.call("tcp", a.ip().String()+":80"))
			// Twice is once.
			must(t, w.m.EnsureUp(t.Context(), "one"))
			if got := strings.Count(w.host.sh(t, c.list), w.m.fw.bridges); got != c.rules {
				t.Errorf("%d rules of ours:\n%s", got, w.host.sh(t, c.list))
			}
			for _, s := range []*container{a, b, two} {
				must(t, s.Close(t.Context()))
			}
			must(t, w.m.RemoveNetwork(t.Context(), "one"))
			must(t, w.m.RemoveNetwork(t.Context(), "two"))
			if after := w.host.sh(t, c.list); after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
		})
	}
}
