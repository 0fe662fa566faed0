package dns

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

type fixed map[string][]netip.Addr

func (f fixed) Lookup(name string) ([]netip.Addr, bool) { a, ok := f[name]; return a, ok }

func (f fixed) Reverse(a netip.Addr) ([]string, bool) {
	for name, addrs := range f {
		for _, b := range addrs {
			if a == b {
				return []string{name + ".net"}, true
			}
		}
	}
	return nil, netip.MustParsePrefix("172.17.0.0/16").Contains(a)
}

// listen takes a port of the loopback that nobody has, in both protocols.
func listen(t testing.TB) (*net.UDPConn, *net.TCPListener) {
	t.Helper()
	for range 100 {
		udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: udp.LocalAddr().(*net.UDPAddr).Port})
		if err == nil {
			return udp, tcp
		}
		udp.Close()
	}
	t.Fatal("no port is free in both protocols")
	return nil, nil
}

// upstream is a name server of the test's own on loopback.
func upstream(t *testing.T, handle dns.HandlerFunc) netip.AddrPort {
	t.Helper()
	c, l := listen(t)
	for _, s := range []*dns.Server{{PacketConn: c, Handler: handle}, {Listener: l, Handler: handle}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func answer(code int, texts ...string) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetRcode(q, code)
		for _, text := range texts {
			m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{text}})
		}
		if _, ok := w.LocalAddr().(*net.UDPAddr); ok && m.Len() > 512 {
			m.Truncate(512)
		}
		_ = w.WriteMsg(m)
	}
}

// serve starts a server; what it returns asks it a question.
func serve(t testing.TB, names Names, upstreams ...netip.AddrPort) (ask func(network, name string, kind uint16) *dns.Msg, addr string) {
	t.Helper()
	return serveWith(t, usualPatience, names, upstreams...)
}

func serveWith(t testing.TB, patience time.Duration, names Names, upstreams ...netip.AddrPort) (ask func(network, name string, kind uint16) *dns.Msg, addr string) {
	t.Helper()
	udp, tcp := listen(t)
	c := Config{Names: names, Dial: func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, to.String())
	}}
	if upstreams != nil {
		c.Upstream = func() []netip.AddrPort { return upstreams }
	}
	r := New(c)
	r.patience = patience
	s := Serve(udp, tcp, r)
	t.Cleanup(s.Close)
	addr = udp.LocalAddr().String()
	return func(network, name string, kind uint16) *dns.Msg {
		t.Helper()
		q := new(dns.Msg)
		q.SetQuestion(dns.Fqdn(name), kind)
		m, _, err := (&dns.Client{Net: network, Timeout: 20 * time.Second}).Exchange(q, addr)
		if err != nil {
			t.Fatalf("%s %s: %v", network, name, err)
		}
		return m
	}, addr
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestOwnNames(t *testing.T) {
	many := make([]netip.Addr, 200)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{172, 17, 1, byte(i)})
	}
	ask, server := serve(t, fixed{"web": {addr("172.17.0.2"), addr("172.17.0.3")}, "six": {addr("172.17.0.4"), addr("fd00::4")}, "many": many})
	for _, network := range []string{"udp", "tcp"} {
		for _, c := range []struct {
			name    string
			kind    uint16
			code    int
			answers int
		}{
			{"web", dns.TypeA, dns.RcodeSuccess, 2},
			{"WeB", dns.TypeA, dns.RcodeSuccess, 2},
			{"web", dns.TypeAAAA, dns.RcodeSuccess, 0},
			{"web", dns.TypeMX, dns.RcodeSuccess, 0},
			{"six", dns.TypeAAAA, dns.RcodeSuccess, 1},
			{"nobody", dns.TypeA, dns.RcodeNameError, 0}, // no upstream: an internal network
			{"2.0.17.172.in-addr.arpa", dns.TypePTR, dns.RcodeSuccess, 1},
			{"9.9.17.172.in-addr.arpa", dns.TypePTR, dns.RcodeNameError, 0},
			{"4.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", dns.TypePTR, dns.RcodeSuccess, 1},
		} {
			m := ask(network, c.name, c.kind)
			if m.Rcode != c.code || len(m.Answer) != c.answers {
				t.Errorf("%s %s %s: %s, %d answers", network, c.name, dns.TypeToString[c.kind], dns.RcodeToString[m.Rcode], len(m.Answer))
			}
		}
	}
	m := ask("udp", "many", dns.TypeA)
	m.Compress = true // as it was sent
	if !m.Truncated || m.Len() > 512 {
		t.Errorf("a long answer over UDP: truncated %v, %d bytes", m.Truncated, m.Len())
	}
	if m := ask("tcp", "many", dns.TypeA); len(m.Answer) != 200 {
		t.Errorf("a long answer over TCP: %d records", len(m.Answer))
	}
	q := new(dns.Msg)
	q.SetQuestion("many.", dns.TypeA)
	q.SetEdns0(4096, false)
	m, _, err := (&dns.Client{UDPSize: 4096}).Exchange(q, server)
	if err != nil || len(m.Answer) != 200 || m.IsEdns0() == nil {
		t.Errorf("a long answer with EDNS: %v %v", m, err)
	}
	first := map[string]int{}
	for range 100 {
		first[ask("udp", "web", dns.TypeA).Answer[0].(*dns.A).A.String()]++
	}
	if len(first) != 2 || first["172.17.0.2"] < 20 || first["172.17.0.3"] < 20 {
		t.Errorf("turns of the replicas: %v", first)
	}
}

func TestHostileQueries(t *testing.T) {
	ask, server := serve(t, fixed{"web": {addr("172.17.0.2")}})
	c, err := net.Dial("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, junk := range []string{"", "x", strings.Repeat("\xff", 1400), strings.Repeat("\xc0\x0c", 600)} {
		_, _ = c.Write([]byte(junk))
	}
	two := new(dns.Msg)
	two.Question = []dns.Question{{Name: "a.", Qtype: 1, Qclass: 1}, {Name: "b.", Qtype: 1, Qclass: 1}}
	m, _, err := new(dns.Client).Exchange(two, server)
	if err != nil || m.Rcode != dns.RcodeFormatError {
		t.Errorf("two questions: %v, %v", m, err)
	}
	if m := ask("udp", "web", dns.TypeA); len(m.Answer) != 1 {
		t.Errorf("after junk: %v", m)
	}
}

func TestForward(t *testing.T) {
	good := upstream(t, answer(dns.RcodeSuccess, "good"))
	missing := upstream(t, answer(dns.RcodeNameError))
	broken := upstream(t, answer(dns.RcodeServerFailure))
	var asked atomic.Int32
	silent := upstream(t, func(dns.ResponseWriter, *dns.Msg) { asked.Add(1) })
	long := upstream(t, answer(dns.RcodeSuccess, strings.Repeat("a", 250), strings.Repeat("b", 250), strings.Repeat("c", 250)))
	closed := netip.MustParseAddrPort("127.0.0.1:1")

	for _, c := range []struct {
		what    string
		servers []netip.AddrPort
		network string
		code    int
		answers int
	}{
		{"the first answers", []netip.AddrPort{good, broken}, "udp", dns.RcodeSuccess, 1},
		{"over TCP", []netip.AddrPort{good}, "tcp", dns.RcodeSuccess, 1},
		{"a failing one is passed over", []netip.AddrPort{broken, good}, "udp", dns.RcodeSuccess, 1},
		{"one that is not there too", []netip.AddrPort{closed, good}, "udp", dns.RcodeSuccess, 1},
		{"a silent one costs its patience", []netip.AddrPort{silent, good}, "udp", dns.RcodeSuccess, 1},
		{"a missing name is an answer", []netip.AddrPort{missing, good}, "udp", dns.RcodeNameError, 0},
		{"all fail", []netip.AddrPort{broken, closed}, "udp", dns.RcodeServerFailure, 0},
		{"no server", []netip.AddrPort{}, "udp", dns.RcodeServerFailure, 0},
		{"a long answer over TCP", []netip.AddrPort{long}, "tcp", dns.RcodeSuccess, 3},
	} {
		// Only where one is silent patience runs out; who waited for it
		// elsewhere would come to the end of all time for an answer.
		patience := time.Hour
		if slices.Contains(c.servers, silent) {
			patience = 10 * time.Millisecond
		}
		ask, _ := serveWith(t, patience, fixed{}, c.servers...)
		m := ask(c.network, "example.org", dns.TypeTXT)
		if m.Rcode != c.code || len(m.Answer) != c.answers {
			t.Errorf("%s: %s, %d answers", c.what, dns.RcodeToString[m.Rcode], len(m.Answer))
		}
	}
	if asked.Load() != 1 {
		t.Errorf("the silent server was asked %d times", asked.Load())
	}
	ask, _ := serve(t, fixed{}, long)
	if m := ask("udp", "example.org", dns.TypeTXT); !m.Truncated {
		t.Errorf("a truncated answer must stay one: %v", m)
	}
}

func BenchmarkOwnName(b *testing.B) {
	_, server := serve(b, fixed{"web": {addr("172.17.0.2")}})
	q := new(dns.Msg)
	q.SetQuestion("web.", dns.TypeA)
	data, _ := q.Pack()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("udp", server)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		buf := make([]byte, 512)
		for pb.Next() {
			_, _ = c.Write(data)
			_, _ = c.Read(buf)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "queries/s")
}
