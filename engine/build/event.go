package build

import (
	"bytes"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// task is what is shown as one step: a vertex, or several that belong together.
type task struct {
	s      *session
	digest digest.Digest
	name   string

	mu      sync.Mutex
	open    int // vertices of it that have not ended
	started bool
	cached  bool
	tail    tail
}

// taskOf is the task that v is shown as. The session is locked.
func (s *session) taskOf(v *vertex) *task {
	id, name := v.digest, v.name()
	if g := v.meta.GetProgressGroup(); g.GetId() != "" {
		id, name = digest.FromString("group "+g.Id), g.Name
	}
	t := s.tasks[id]
	if t == nil {
		t = &task{s: s, digest: id, name: name, cached: true}
		s.tasks[id] = t
	}
	t.open++
	return t
}

// step makes a task of the build's own, apart from the graph.
func (s *session) step(name string) *task {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := digest.FromString("step " + name)
	t := s.tasks[id]
	if t == nil {
		t = &task{s: s, digest: id, name: name}
		s.tasks[id] = t
	}
	t.open++
	return t
}

func (s *session) send(e Event) {
	if s.opts.Progress != nil {
		s.opts.Progress(e)
	}
}

func (t *task) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.started {
		return
	}
	t.started = true
	now := time.Now()
	t.s.send(Event{Vertex: t.digest, Name: t.name, Started: &now})
}

// end says that one vertex of the task has ended.
func (t *task) end(cached bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open--
	t.cached = t.cached && cached
	if t.open > 0 && err == nil {
		return
	}
	now := time.Now()
	e := Event{Vertex: t.digest, Name: t.name, Completed: &now, Cached: t.cached && err == nil}
	if err != nil {
		e.Error = err.Error()
	}
	t.s.send(e)
}

func (t *task) status(st Status) {
	t.s.send(Event{Vertex: t.digest, Name: t.name, Status: &st})
}

// writer passes output on as events and remembers the end of it.
func (t *task) writer(stream int) *logWriter { return &logWriter{t, stream} }

type logWriter struct {
	t      *task
	stream int
}

func (w *logWriter) Write(p []byte) (int, error) {
	now := time.Now()
	w.t.mu.Lock()
	w.t.tail.add(p)
	w.t.mu.Unlock()
	w.t.s.send(Event{Vertex: w.t.digest, Name: w.t.name, Log: bytes.Clone(p), LogStream: w.stream, LogTime: now})
	return len(p), nil
}

// tailLines and tailBytes bound what an error shows of a step's output.
const (
	tailLines = 10
	tailBytes = 64 << 10
)

// tail keeps the last lines written.
type tail struct{ text []byte }

func (t *tail) add(p []byte) {
	t.text = append(t.text, p...)
	if len(t.text) > 2*tailBytes {
		t.text = append(t.text[:0], t.text[len(t.text)-tailBytes:]...)
	}
}

func (t *tail) lines() []string {
	var out []string
	for _, l := range bytes.Split(bytes.TrimRight(t.text, "\n"), []byte("\n")) {
		out = append(out, string(bytes.TrimRight(l, "\r")))
	}
	if len(out) == 1 && out[0] == "" {
		return nil
	}
	return out[max(0, len(out)-tailLines):]
}
