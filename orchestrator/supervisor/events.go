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
	past      []api.Event // the last ones, at most kept
}

// kept is how many events are remembered, as dockerd does.
const kept = 256

// listen gives what happened from since on, as far as it is remembered, and
// what happens from now on; with a zero since only that.
func (h *hub) listen(since time.Time) chan api.Event {
	c := make(chan api.Event, 4096)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.past {
		if !since.IsZero() && !e.Time.Before(since) {
			c <- e
		}
	}
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
	if len(h.past) == kept {
		h.past = append(h.past[:0], h.past[1:]...)
	}
	h.past = append(h.past, e)
	for c := range h.listeners {
		select {
		case c <- e:
		default:
			delete(h.listeners, c)
			close(c)
		}
	}
}
