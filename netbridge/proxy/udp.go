package proxy

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// udpIdle is how long a client of a UDP port is remembered without traffic.
const udpIdle = 90 * time.Second

// udpClients is how many clients of one port are remembered.
const udpClients = 4096

// UDPProxy carries UDP datagrams both ways.
type UDPProxy struct {
	conn    *net.UDPConn
	dial    Dialer
	tracker *tracker

	mu      sync.Mutex
	clients map[netip.AddrPort]net.Conn
}

// UDP carries every datagram that c receives to a connection made by dial, one
// a client, and the answers back, until Close.
func UDP(c *net.UDPConn, dial Dialer) *UDPProxy {
	p := &UDPProxy{conn: c, dial: dial, tracker: newTracker(), clients: map[netip.AddrPort]net.Conn{}}
	go p.run()
	return p
}

// Close closes the socket and all connections.
func (p *UDPProxy) Close() {
	p.conn.Close()
	p.tracker.close()
}

func (p *UDPProxy) run() {
	// Allocated with the first datagram: most ports never see one here.
	var buf []byte
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return
	}
	for {
		if buf == nil {
			if err := raw.Read(readable); err != nil {
				return
			}
			buf = make([]byte, 64<<10)
		}
		n, from, err := p.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier answer
		}
		if to := p.client(from); to != nil {
			_, _ = to.Write(buf[:n])
		}
	}
}

// client returns the connection of a client, made if need be.
func (p *UDPProxy) client(from netip.AddrPort) net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.clients[from]; c != nil {
		return c
	}
	if len(p.clients) >= udpClients {
		return nil
	}
	c, err := p.tracker.dial(p.dial)
	if err != nil || !p.tracker.add(c) {
		return nil
	}
	p.clients[from] = c
	go p.answers(c, from)
	return c
}

func (p *UDPProxy) answers(c net.Conn, to netip.AddrPort) {
	defer func() {
		p.mu.Lock()
		delete(p.clients, to)
		p.mu.Unlock()
		p.tracker.remove(c)
	}()
	buf := make([]byte, 64<<10)
	for {
		_ = c.SetReadDeadline(time.Now().Add(udpIdle))
		n, err := c.Read(buf)
		if errors.Is(err, errRefused) {
			continue // nobody listens in the container yet
		}
		if err != nil {
			return
		}
		if _, err := p.conn.WriteToUDPAddrPort(buf[:n], to); errors.Is(err, net.ErrClosed) {
			return
		}
	}
}
