package supervisor

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"

	"compose/engine"
	"compose/engine/runtime"
	"compose/orchestrator/supervisor/api"
)

// tap is one client that is attached to a container's streams.
type tap struct {
	out  chan []byte
	done chan struct{}
	once sync.Once
	raw  bool // a terminal: no frames
}

func (t *tap) close() { t.once.Do(func() { close(t.out) }) }

// tee hands a chunk of output to those who are attached. One that does not
// read holds the container up, as a full pipe would; one that is gone does not.
func (c *container) tee(stream string, data []byte) {
	c.mu.Lock()
	taps := make([]*tap, 0, len(c.taps))
	for t := range c.taps {
		taps = append(taps, t)
	}
	c.mu.Unlock()
	for _, t := range taps {
		t.send(stream, data)
	}
}

func (t *tap) send(stream string, data []byte) {
	var frame []byte
	if t.raw {
		frame = append(frame, data...)
	} else {
		kind := byte(api.Stdout)
		if stream == "stderr" {
			kind = api.Stderr
		}
		frame = append(frame, kind, 0, 0, 0)
		frame = binary.BigEndian.AppendUint32(frame, uint32(len(data)))
		frame = append(frame, data...)
	}
	select {
	case t.out <- frame:
	case <-t.done:
	}
}

// attach takes a connection over: what comes in goes to the container's
// standard input, and its output comes back until it has ended.
func (c *container) attach(w http.ResponseWriter, r *http.Request) {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // the client is gone
	}
	defer c.s.disconnected()
	defer conn.Close()
	c.mu.Lock()
	t := &tap{out: make(chan []byte, 64), done: make(chan struct{}), raw: c.cfg.Spec.TTY}
	over := c.removed
	if !over {
		c.taps[t] = true
		c.event("attach", nil)
	}
	c.mu.Unlock()
	if over {
		return
	}
	defer func() {
		c.mu.Lock()
		delete(c.taps, t)
		c.mu.Unlock()
	}()
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"); err != nil {
		close(t.done)
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		c.feed(buf.Reader, conn, r.URL.Query().Has("stdin"))
	}()
	defer close(t.done)
	for frame := range t.out {
		if _, err := conn.Write(frame); err != nil {
			return
		}
	}
}

// feed copies what a client sends to the container's standard input, and
// closes that when a client that came with one has no more to say.
func (c *container) feed(in *bufio.Reader, conn net.Conn, speaks bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			if stdin := c.input(); stdin != nil {
				if _, err := stdin.Write(buf[:n]); err != nil {
					_, _ = io.Copy(io.Discard, conn)
					return
				}
			}
		}
		if err != nil {
			c.mu.Lock()
			if speaks && c.stdin != nil && !c.cfg.Spec.TTY {
				c.stdin.Close()
				c.s.link.Drop(c.id + "/stdin")
				c.s.link.Wake() // it has no end before the keeper has let it go
				c.stdin = nil
			}
			c.mu.Unlock()
			return
		}
	}
}

// input is the container's standard input. What arrives before the container
// has started waits for it.
func (c *container) input() *os.File {
	for {
		c.mu.Lock()
		stdin, changed := c.stdin, c.changed
		waiting := c.run == nil && c.state.Status == engine.Created && !c.removed
		c.mu.Unlock()
		if !waiting {
			return stdin
		}
		<-changed
	}
}

// resize tells the container's terminal its size, or what it will be.
func (c *container) resize(req api.Resize) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.size = req
	if c.run == nil || !c.cfg.Spec.TTY || c.stdin == nil {
		return nil // one without a terminal, or not yet
	}
	if err := runtime.Resize(c.stdin, req.Rows, req.Columns); err != nil {
		return err
	}
	c.event("resize", map[string]string{"height": strconv.Itoa(int(req.Rows)), "width": strconv.Itoa(int(req.Columns))})
	return nil
}

// sized gives a new terminal the size that was told before there was one.
func (c *container) sized(console *os.File) {
	c.mu.Lock()
	size := c.size
	c.mu.Unlock()
	if size.Rows > 0 && size.Columns > 0 {
		c.s.warn(c, "give its terminal the size", runtime.Resize(console, size.Rows, size.Columns))
	}
}
