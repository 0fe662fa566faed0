package dns

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"compose/internal/lateinit"
)

// ttl is how long, in seconds, a client may remember a name of ours: not long,
// as a container may be another one with another address in a moment.
const ttl = 5

// Names is what a container's networks know.
type Names interface {
	// Lookup returns the addresses of a name (lower case, no final dot);
	// owned is false for a name that is none of theirs.
	Lookup(name string) (addrs []netip.Addr, owned bool)
	// Reverse returns the names of an address, without final dots; owned is
	// true also for an address inside the networks that nobody has.
	Reverse(a netip.Addr) (names []string, owned bool)
}

// Config is what a resolver needs.
type Config struct {
	Names Names
	// Upstream lists the servers that know the rest of the world; nil, or a
	// nil list, means that there is none to be asked (internal networks).
	Upstream func() []netip.AddrPort
	// Dial connects to one of them ("udp" or "tcp").
	Dial func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)
}

// Resolver answers queries.
type Resolver struct {
	Config
	// A server that has not answered after patience does not stop the next
	// from being asked beside it; whoever answers first is believed.
	patience time.Duration
	ctx      context.Context
	close    context.CancelFunc
}

// New returns a resolver.
func New(c Config) *Resolver {
	lateinit.Run(lateinit.DNS)
	r := &Resolver{Config: c, patience: usualPatience}
	r.ctx, r.close = context.WithCancel(context.Background())
	return r
}

// failure is an answer without records.
func failure(q *dns.Msg, code int) *dns.Msg {
	m := new(dns.Msg)
	m.SetRcode(q, code)
	m.RecursionAvailable = true
	if opt := q.IsEdns0(); opt != nil {
		m.SetEdns0(maxUDPQuery, opt.Do())
	}
	return m
}

// own answers what needs nobody else; nil means: forward.
func (r *Resolver) own(q *dns.Msg) *dns.Msg {
	if q.Opcode != dns.OpcodeQuery {
		return failure(q, dns.RcodeNotImplemented)
	}
	if len(q.Question) != 1 {
		return failure(q, dns.RcodeFormatError)
	}
	if opt := q.IsEdns0(); opt != nil && opt.Version() != 0 {
		return failure(q, dns.RcodeBadVers)
	}
	question := q.Question[0]
	if question.Qclass != dns.ClassINET && question.Qclass != dns.ClassANY {
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(question.Name, "."))
	if a, ok := reverseAddr(name); ok {
		return r.reverse(q, a)
	}
	addrs, owned := r.Names.Lookup(name)
	if !owned {
		return nil
	}
	m := failure(q, dns.RcodeSuccess)
	m.Authoritative = true
	header := dns.RR_Header{Name: question.Name, Class: dns.ClassINET, Ttl: ttl}
	for _, a := range addrs {
		switch {
		case a.Is4() && (question.Qtype == dns.TypeA || question.Qtype == dns.TypeANY):
			header.Rrtype = dns.TypeA
			m.Answer = append(m.Answer, &dns.A{Hdr: header, A: a.AsSlice()})
		case a.Is6() && (question.Qtype == dns.TypeAAAA || question.Qtype == dns.TypeANY):
			header.Rrtype = dns.TypeAAAA
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: header, AAAA: a.AsSlice()})
		}
	}
	// Clients take the first: each gets its turn.
	rand.Shuffle(len(m.Answer), func(i, j int) { m.Answer[i], m.Answer[j] = m.Answer[j], m.Answer[i] })
	return m
}

func (r *Resolver) reverse(q *dns.Msg, a netip.Addr) *dns.Msg {
	names, owned := r.Names.Reverse(a)
	if !owned {
		return nil
	}
	if len(names) == 0 {
		return failure(q, dns.RcodeNameError)
	}
	m := failure(q, dns.RcodeSuccess)
	m.Authoritative = true
	question := q.Question[0]
	if question.Qtype == dns.TypePTR || question.Qtype == dns.TypeANY {
		for _, name := range names {
			m.Answer = append(m.Answer, &dns.PTR{
				Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: ttl},
				Ptr: dns.Fqdn(name),
			})
		}
	}
	return m
}

// reverseAddr parses 2.0.17.172.in-addr.arpa and its IPv6 cousin.
func reverseAddr(name string) (netip.Addr, bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		labels := strings.Split(rest, ".")
		if len(labels) != 4 {
			return netip.Addr{}, false
		}
		a, err := netip.ParseAddr(labels[3] + "." + labels[2] + "." + labels[1] + "." + labels[0])
		return a, err == nil
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa")
	if !ok || len(rest) != 63 {
		return netip.Addr{}, false
	}
	var b strings.Builder
	for i := 62; i >= 0; i -= 2 {
		b.WriteByte(rest[i])
		if n := (62 - i) / 2; n%4 == 3 && n != 31 {
			b.WriteByte(':')
		}
	}
	a, err := netip.ParseAddr(b.String())
	return a, err == nil
}
