// Package proxy carries connections from sockets of the host to a container,
// where the kernel cannot do it by rewriting packets.
package proxy

import (
	"context"
	"net"
	"sync"
	"time"
)

// Dialer makes one connection to the container.
type Dialer func(ctx context.Context) (net.Conn, error)

const dialTimeout = 10 * time.Second

// tracker closes on Close whatever is under way.
type tracker struct {
	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex
	open   map[net.Conn]struct{}
}

func newTracker() *tracker {
	t := &tracker{open: map[net.Conn]struct{}{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// add takes on a connection, or closes it where all is over already.
func (t *tracker) add(c net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		c.Close()
		return false
	}
	t.open[c] = struct{}{}
	return true
}

func (t *tracker) remove(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, c)
	c.Close()
}

func (t *tracker) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cancel()
	for c := range t.open {
		c.Close()
	}
	clear(t.open)
}

func (t *tracker) dial(dial Dialer) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.ctx, dialTimeout)
	defer cancel()
	return dial(ctx)
}
