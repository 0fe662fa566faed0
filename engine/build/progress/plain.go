package progress

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"compose/engine/build"
)

// Plain writes lines in the style of BuildKit's plain output: steps numbered
// in the order in which they start, their output with the seconds since then.
type Plain struct {
	mu    sync.Mutex
	w     io.Writer
	steps map[digest.Digest]*step
	last  *step // whose lines were written last

	found findings
}

type step struct {
	number  int
	name    string
	started time.Time
	rest    []byte // output without a line feed yet
	shown   map[string]bool
}

// NewPlain returns a display that writes to w.
func NewPlain(w io.Writer) *Plain { return &Plain{w: w, steps: map[digest.Digest]*step{}} }

// Event shows one piece of news. It may be called from several goroutines.
func (p *Plain) Event(e build.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Warning != nil {
		p.found.add(e.Warning)
		return
	}
	s := p.steps[e.Vertex]
	if s == nil {
		s = &step{number: len(p.steps) + 1, name: e.Name, started: time.Now(), shown: map[string]bool{}}
		p.steps[e.Vertex] = s
	}
	if e.Started != nil {
		s.started = *e.Started
		p.head(s)
	}
	if len(e.Log) > 0 {
		p.log(s, e)
	}
	if e.Status != nil && e.Status.Done && !s.shown[e.Status.ID] {
		s.shown[e.Status.ID] = true
		p.head(s)
		fmt.Fprintf(p.w, "#%d %s %s\n", s.number, e.Status.ID, e.Status.Text)
	}
	if e.Completed != nil {
		p.end(s, e)
	}
}

// Close lists what the linter has found.
func (p *Plain) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found.print(p.w)
}

// head names the step again where another one's lines came between.
func (p *Plain) head(s *step) {
	if p.last == s {
		return
	}
	if p.last != nil {
		fmt.Fprintln(p.w)
	}
	p.last = s
	fmt.Fprintf(p.w, "#%d %s\n", s.number, s.name)
}

func (p *Plain) log(s *step, e build.Event) {
	s.rest = append(s.rest, e.Log...)
	for {
		line, after, ok := bytes.Cut(s.rest, []byte("\n"))
		if !ok {
			return
		}
		s.rest = after
		p.line(s, line, e.LogTime)
	}
}

func (p *Plain) line(s *step, line []byte, at time.Time) {
	p.head(s)
	// A line that rewrites itself is shown as it ends up.
	line = bytes.TrimRight(line, "\r")
	if i := bytes.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	fmt.Fprintf(p.w, "#%d %.3f %s\n", s.number, at.Sub(s.started).Seconds(), line)
}

func (p *Plain) end(s *step, e build.Event) {
	if len(s.rest) > 0 {
		p.line(s, s.rest, *e.Completed)
		s.rest = nil
	}
	p.head(s)
	switch {
	case e.Error != "":
		fmt.Fprintf(p.w, "#%d ERROR: %s\n", s.number, e.Error)
	case e.Cached:
		fmt.Fprintf(p.w, "#%d CACHED\n", s.number)
	default:
		fmt.Fprintf(p.w, "#%d DONE %.1fs\n", s.number, e.Completed.Sub(s.started).Seconds())
	}
}
