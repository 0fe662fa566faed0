package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

const (
	// See Resolver.patience.
	usualPatience = 400 * time.Millisecond
	// Lost datagrams are sent again.
	resend = 1500 * time.Millisecond
	// Below the 5 s after which resolvers of C libraries ask again.
	deadline = 4500 * time.Millisecond
	// A question is asked of so many servers.
	maxServers = 4
)

// forward asks the upstream servers the client's question as it stands.
func (r *Resolver) forward(q *dns.Msg, network string) *dns.Msg {
	var servers []netip.AddrPort
	if r.Upstream != nil {
		servers = r.Upstream()
	}
	if servers == nil {
		// Nothing beyond the container's networks exists for it.
		return failure(q, dns.RcodeNameError)
	}
	servers = servers[:min(len(servers), maxServers)]
	ctx, cancel := context.WithTimeout(r.ctx, deadline)
	defer cancel()

	type answer struct {
		msg *dns.Msg
		err error
	}
	answers := make(chan answer, len(servers))
	ask := func(server netip.AddrPort) {
		m, err := r.ask(ctx, q, network, server)
		answers <- answer{m, err}
	}
	var fallback *dns.Msg
	next, waiting := 0, 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for next < len(servers) || waiting > 0 {
		select {
		case <-ctx.Done():
			return orFailure(fallback, q)
		case <-timer.C:
		case a := <-answers:
			waiting--
			if a.err == nil && useful(a.msg) {
				a.msg.Id = q.Id
				return a.msg
			}
			if a.err == nil && fallback == nil {
				a.msg.Id = q.Id
				fallback = a.msg
			}
		}
		if next < len(servers) {
			go ask(servers[next])
			next++
			waiting++
			timer.Reset(r.patience)
		}
	}
	return orFailure(fallback, q)
}

func orFailure(m, q *dns.Msg) *dns.Msg {
	if m != nil {
		return m
	}
	return failure(q, dns.RcodeServerFailure)
}

// useful tells an answer from a server's statement that it cannot give one.
func useful(m *dns.Msg) bool {
	switch m.Rcode {
	case dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeNotImplemented:
		return false
	}
	return true
}

// ask asks one server. A query that came over TCP goes on over TCP; where that
// finds no ear, UDP is better than nothing.
func (r *Resolver) ask(ctx context.Context, q *dns.Msg, network string, server netip.AddrPort) (*dns.Msg, error) {
	if network == "tcp" {
		if m, err := r.askTCP(ctx, q, server); err == nil {
			return m, nil
		}
	}
	return r.askUDP(ctx, q, server)
}

// forwarded is the query under an ID of our own; the socket's port, which the
// kernel chooses, is as hard to guess.
func forwarded(q *dns.Msg) *dns.Msg {
	m := q.Copy()
	m.Id = dns.Id()
	return m
}

func matches(m, q *dns.Msg) bool {
	return m.Response && m.Id == q.Id && (len(m.Question) == 0 || m.Question[0] == q.Question[0])
}

func (r *Resolver) askTCP(ctx context.Context, q *dns.Msg, server netip.AddrPort) (*dns.Msg, error) {
	c, err := r.Dial(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	out := forwarded(q)
	if err := writeMessage(c, out); err != nil {
		return nil, err
	}
	m, err := readMessage(c)
	if err != nil {
		return nil, err
	}
	if !matches(m, out) {
		return nil, errors.New("answer to another question")
	}
	return m, nil
}

func (r *Resolver) askUDP(ctx context.Context, q *dns.Msg, server netip.AddrPort) (*dns.Msg, error) {
	c, err := r.Dial(ctx, "udp", server)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	out := forwarded(q)
	data, err := out.Pack()
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 64<<10)
	for {
		if _, err := c.Write(data); err != nil {
			return nil, err
		}
		_ = c.SetReadDeadline(time.Now().Add(resend))
		for {
			n, err := c.Read(buf)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				break // again
			}
			if err != nil {
				return nil, err
			}
			m := new(dns.Msg)
			// A truncated answer may not parse to its end; its header does.
			if err := m.Unpack(buf[:n]); (err == nil || m.Truncated) && matches(m, out) {
				return m, nil
			}
		}
	}
}
