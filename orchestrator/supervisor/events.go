package supervisor

import (
	"sync"
	"time"

	"compose/orchestrator/supervisor/api"
)

// hub hands events to whoever listens. One that does not keep up loses the
// connection, never an event without noticing.
type hub struct {
	mu        sync.Mutex
	listeners map[chan api.Event]bool
}

func (h *hub) listen() chan api.Event {
	c := make(chan api.Event, 4096)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners == nil {
		h.listeners = map[chan api.Event]bool{}
	}
	h.listeners[c] = true
	return c
}

func (h *hub) leave(c chan api.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners[c] {
		delete(h.listeners, c)
		close(c)
	}
}

func (h *hub) send(e api.Event) {
	e.Time, e.Type = time.Now().UTC(), "container"
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.listeners {
		select {
		case c <- e:
		default:
			delete(h.listeners, c)
			close(c)
		}
	}
}
