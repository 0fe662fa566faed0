package proxy

import (
	"errors"
	"io"
	"net"
	"time"
)

// TCPProxy carries TCP connections.
type TCPProxy struct {
	listener *net.TCPListener
	dial     Dialer
	tracker  *tracker
}

// TCP carries every connection that l accepts to one made by dial, until Close.
func TCP(l *net.TCPListener, dial Dialer) *TCPProxy {
	p := &TCPProxy{listener: l, dial: dial, tracker: newTracker()}
	go p.run()
	return p
}

// Close closes the listener and all connections.
func (p *TCPProxy) Close() {
	p.listener.Close()
	p.tracker.close()
}

func (p *TCPProxy) run() {
	for {
		c, err := p.listener.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of descriptors: let some go first
			select {
			case <-p.tracker.ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		default:
			go p.carry(c)
		}
	}
}

func (p *TCPProxy) carry(client *net.TCPConn) {
	if !p.tracker.add(client) {
		return
	}
	defer p.tracker.remove(client)
	c, err := p.tracker.dial(p.dial)
	if err != nil {
		_ = client.SetLinger(0) // refused there, so reset here
		return
	}
	server := c.(*net.TCPConn)
	if !p.tracker.add(server) {
		return
	}
	defer p.tracker.remove(server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		oneWay(server, client)
	}()
	oneWay(client, server)
	<-done
}

// oneWay copies (the kernel splices) until the end and passes the end on.
func oneWay(to, from *net.TCPConn) {
	_, err := io.Copy(to, from)
	if err != nil {
		_ = from.CloseRead()
	}
	_ = to.CloseWrite()
}
