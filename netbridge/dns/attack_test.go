package dns

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// TestAttackDNSReplies: a server, or somebody who writes in its name, answers
// with another ID, another question, from another port, with junk, and with
// far too much. Only the true answer comes through.
func TestAttackDNSReplies(t *testing.T) {
	truth := answer(dns.RcodeSuccess, "true")
	spoofer, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer spoofer.Close()
	lie := func(q *dns.Msg, edit func(*dns.Msg)) []byte {
		m := new(dns.Msg)
		m.SetRcode(q, dns.RcodeSuccess)
		m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{"lie"}}}
		edit(m)
		data, err := m.Pack()
		if err != nil {
			t.Error(err)
		}
		return data
	}
	server := upstream(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if _, ok := w.LocalAddr().(*net.UDPAddr); ok {
			// From elsewhere, with everything right but the address.
			_, _ = spoofer.WriteTo(lie(q, func(*dns.Msg) {}), w.RemoteAddr())
			for _, junk := range [][]byte{
				lie(q, func(m *dns.Msg) { m.Id++ }),
				lie(q, func(m *dns.Msg) { m.Question[0].Name = "other." }),
				lie(q, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA }),
				lie(q, func(m *dns.Msg) { m.Response = false }),
				[]byte("junk"), make([]byte, 60000), []byte(strings.Repeat("\xc0\x0c", 30000)),
			} {
				_, _ = w.Write(junk)
			}
		}
		truth(w, q)
	})
	ask, _ := serve(t, noNames{}, server)
	for _, network := range []string{"udp", "tcp"} {
		m := ask(network, "example.org", dns.TypeTXT)
		if len(m.Answer) != 1 || m.Answer[0].(*dns.TXT).Txt[0] != "true" {
			t.Errorf("%s: %v", network, m)
		}
	}
	// An answer that does not fit the client's datagram is cut, not sent whole.
	long := make([]string, 200)
	for i := range long {
		long[i] = strings.Repeat("x", 250)
	}
	big := upstream(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetRcode(q, dns.RcodeSuccess)
		m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: long}}
		_ = w.WriteMsg(m)
	})
	ask, _ = serve(t, noNames{}, big)
	if m := ask("udp", "example.org", dns.TypeTXT); !m.Truncated || m.Len() > 512 {
		t.Errorf("an answer of %d bytes over UDP, truncated: %v", m.Len(), m.Truncated)
	}
	if m := ask("tcp", "example.org", dns.TypeTXT); len(m.Answer) != 1 {
		t.Errorf("over TCP: %v", m.MsgHdr)
	}
}

// noNames knows no names.
type noNames struct{}

func (noNames) Lookup(string) ([]netip.Addr, bool)  { return nil, false }
func (noNames) Reverse(netip.Addr) ([]string, bool) { return nil, false }
