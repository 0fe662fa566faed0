// Package dns answers the name queries of one container: names of the networks
// it is on from their records, everything else by asking other servers.
package dns

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	maxUDPQuery  = 1500
	maxForwards  = 256              // under way at once for one container
	maxStreams   = 64               // TCP connections of one container
	streamIdle   = 10 * time.Second // RFC 7766 leaves it to the server
	answerBudget = 512              // bytes of a UDP answer without EDNS (RFC 1035)
)

// Server answers on two sockets until Close.
type Server struct {
	resolver *Resolver
	udp      *net.UDPConn
	tcp      *net.TCPListener
	forwards chan struct{}

	mu      sync.Mutex
	streams map[net.Conn]struct{}
	closed  bool
}

// Serve starts answering. The sockets stay the caller's to close; closing them
// also ends the server.
func Serve(udp *net.UDPConn, tcp *net.TCPListener, r *Resolver) *Server {
	s := &Server{resolver: r, udp: udp, tcp: tcp, forwards: make(chan struct{}, maxForwards), streams: map[net.Conn]struct{}{}}
	go s.serveUDP()
	go s.serveTCP()
	return s
}

// Close ends the server and its connections. It is safe to call on nil.
func (s *Server) Close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.udp.Close()
	s.tcp.Close()
	for c := range s.streams {
		c.Close()
	}
	s.resolver.close()
}

func (s *Server) serveUDP() {
	buf := make([]byte, maxUDPQuery)
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		q := new(dns.Msg)
		if q.Unpack(buf[:n]) != nil || q.Response {
			continue
		}
		if reply := s.resolver.own(q); reply != nil {
			s.reply(from, q, reply, buf[:0:len(buf)])
			continue
		}
		select {
		case s.forwards <- struct{}{}:
			go func() {
				defer func() { <-s.forwards }()
				s.reply(from, q, s.resolver.forward(q, "udp"), nil)
			}()
		default:
			s.reply(from, q, failure(q, dns.RcodeServerFailure), nil)
		}
	}
}

// reply writes an answer over UDP, cut down to what the client takes.
func (s *Server) reply(to netip.AddrPort, q, reply *dns.Msg, scratch []byte) {
	size := answerBudget
	if opt := q.IsEdns0(); opt != nil {
		size = max(size, int(opt.UDPSize()))
	}
	if reply.Len() > size {
		reply.Truncate(size)
	}
	data, err := reply.PackBuffer(scratch)
	if err == nil {
		_, _ = s.udp.WriteToUDPAddrPort(data, to)
	}
}

func (s *Server) serveTCP() {
	for {
		c, err := s.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(50 * time.Millisecond) // out of descriptors
			continue
		}
		s.mu.Lock()
		if s.closed || len(s.streams) >= maxStreams {
			c.Close()
		} else {
			s.streams[c] = struct{}{}
			go s.serveStream(c)
		}
		s.mu.Unlock()
	}
}

func (s *Server) serveStream(c net.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.streams, c)
		s.mu.Unlock()
		c.Close()
	}()
	for {
		_ = c.SetDeadline(time.Now().Add(streamIdle))
		q, err := readMessage(c)
		if err != nil || q.Response {
			return
		}
		reply := s.resolver.own(q)
		if reply == nil {
			reply = s.resolver.forward(q, "tcp")
		}
		_ = c.SetDeadline(time.Now().Add(streamIdle))
		if writeMessage(c, reply) != nil {
			return
		}
	}
}

// A message on a stream has its length in front (RFC 1035 4.2.2).

func readMessage(r io.Reader) (*dns.Msg, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	data := make([]byte, int(size[0])<<8|int(size[1]))
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	m := new(dns.Msg)
	return m, m.Unpack(data)
}

func writeMessage(w io.Writer, m *dns.Msg) error {
	data, err := m.Pack()
	if err != nil {
		return err
	}
	_, err = w.Write(append([]byte{byte(len(data) >> 8), byte(len(data))}, data...))
	return err
}
