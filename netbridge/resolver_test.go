package netbridge

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestNames(t *testing.T) {
	w := newWorld(t)
	w.network(NetworkConfig{Name: "shop_default"})
	w.network(NetworkConfig{Name: "other"})
	w.network(NetworkConfig{Name: "closed", Internal: true})

	// The rest of the world's names are known to a server out there.
	must(t, w.outside.run(func() error {
		s := &dns.Server{Addr: "192.0.2.1:53", Net: "udp", Handler: dns.HandlerFunc(func(rw dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg)
			m.SetReply(q)
			if q.Question[0].Name == "example.org." && q.Question[0].Qtype == dns.TypeA {
				rr, _ := dns.NewRR("example.org. 60 IN A 198.51.100.1")
				m.Answer = append(m.Answer, rr)
			} else if q.Question[0].Name != "example.org." {
				m.Rcode = dns.RcodeNameError
			}
			_ = rw.WriteMsg(m)
		})}
		started := make(chan error, 1)
		s.NotifyStartedFunc = func() { started <- nil }
		go func() {
			if err := w.outside.run(s.ListenAndServe); err != nil {
				started <- err
			}
		}()
		t.Cleanup(func() { _ = s.Shutdown() })
		return <-started
	}))
	up := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:53")}
	service := func(alias string) []EndpointConfig {
		return []EndpointConfig{{Network: "shop_default", Aliases: []string{alias}}}
	}
	web1 := w.container("shop-web-1", SandboxConfig{Endpoints: service("web"), Upstream: up, ExtraHosts: map[string][]netip.Addr{"Extra": {netip.MustParseAddr("10.1.1.1")}}})
	web2 := w.container("shop-web-2", SandboxConfig{Endpoints: service("web"), Upstream: up})
	db := w.container("shop-db-1", SandboxConfig{Endpoints: append(service("db"), EndpointConfig{Network: "closed", Aliases: []string{"db"}}), Upstream: up})
	stranger := w.container("stranger", SandboxConfig{Upstream: up}, "other")
	shut := w.container("shut", SandboxConfig{Upstream: up}, "closed")

	both := []string{web1.ip().String(), web2.ip().String()}
	got := strings.Fields(db.resolve(t, "WEB"))
	slices.Sort(got)
	if !slices.Equal(got, both) {
		t.Errorf("web: %v, want %v", got, both)
	}
	for name, want := range map[string]string{
		"shop-web-2":              both[1],
		testID("shop-web-2")[:12]: both[1],
		"db":                      db.ip().String(),
		"db.shop_default":         db.ip().String(),
		"extra":                   "10.1.1.1",
		"example.org":             "198.51.100.1",
	} {
		if got := web1.resolve(t, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for who, c := range map[string]*container{"stranger": stranger, "shut": shut} {
		if got := c.resolve(t, "web"); !strings.Contains(got, "no such host") {
			t.Errorf("%s sees web: %s", who, got)
		}
	}
	if got := shut.resolve(t, "db"); got != db.Endpoints()[1].IPv4.String() {
		t.Errorf("db on the internal network: %s", got)
	}
	if got := shut.resolve(t, "example.org"); !strings.Contains(got, "no such host") {
		t.Errorf("the outside world from an internal network: %s", got)
	}

	// As a program would, with a C library of its own; over TCP; backwards.
	if out := web1.sh(t, "busybox nslookup -type=a db 127.0.0.11"); !strings.Contains(out, db.ip().String()) {
		t.Errorf("nslookup: %s", out)
	}
	ask := func(network, name string, kind uint16) *dns.Msg {
		t.Helper()
		var m *dns.Msg
		must(t, web1.run(func() (err error) {
			q := new(dns.Msg)
			q.SetQuestion(name, kind)
			m, _, err = (&dns.Client{Net: network, Timeout: 20 * time.Second}).Exchange(q, "127.0.0.11:53")
			return err
		}))
		return m
	}
	reverse, _ := dns.ReverseAddr(db.ip().String())
	if m := ask("tcp", reverse, dns.TypePTR); len(m.Answer) != 1 || m.Answer[0].(*dns.PTR).Ptr != "shop-db-1.shop_default." {
		t.Errorf("reverse: %v", m)
	}
	if m := ask("udp", "db.", dns.TypeAAAA); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 0 {
		t.Errorf("AAAA: %v", m)
	}

	// Port 53 is the container's own.
	web1.hostNS.serve(t, "own server", "0.0.0.0:53")
	db.answers(t, "tcp", both[0]+":53", "own server ")
	db.answers(t, "udp", both[0]+":53", "own server ")
	if got := web1.resolve(t, "db"); got != db.ip().String() {
		t.Errorf("beside a server of the container's own: %s", got)
	}

	// What stops is forgotten at once; what comes is known at once.
	must(t, web2.Close(t.Context()))
	if got := db.resolve(t, "web"); got != both[0] {
		t.Errorf("after web2's end: %s", got)
	}
	web3 := w.container("shop-web-3", SandboxConfig{Endpoints: service("web")})
	if got := db.resolve(t, "shop-web-3"); got != web3.ip().String() {
		t.Errorf("web3: %s", got)
	}
	time.Sleep(2 * settled) // the cache is relied on from now
	if got := db.resolve(t, "shop-web-3"); got != web3.ip().String() {
		t.Errorf("web3 from the cache: %s", got)
	}
	must(t, web3.Close(t.Context()))
	if got := db.resolve(t, "shop-web-3"); !strings.Contains(got, "error") {
		t.Errorf("web3 after its end: %s", got)
	}
}
