package supervisor

import (
	"encoding/json"
	"net/http"
	"sync"

	"compose/orchestrator/supervisor/api"
)

// hub tells those who are connected of starts, ends and removals as they come;
// everything else that happens is only in the journal. A listener that does not
// keep up loses the connection, never an event without noticing.
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

// streamEvents writes each event as a line until the client leaves.
func (s *supervisor) streamEvents(w http.ResponseWriter, r *http.Request) {
	events := s.events.listen()
	defer s.events.leave(events)
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	if err := out.Flush(); err != nil {
		return
	}
	enc := json.NewEncoder(w)
	for {
		select {
		case e, ok := <-events:
			if !ok || enc.Encode(e) != nil || out.Flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
