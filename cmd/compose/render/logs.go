package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"compose/orchestrator"
)

// Logs writes the lines of several containers, each behind its name.
type Logs struct {
	Color      bool
	Prefix     bool
	Timestamps bool
	Terminal   bool // what is written is for a terminal

	mu      sync.Mutex
	w       *bufio.Writer
	sources map[string]*source
	width   int
}

type source struct {
	color  string
	prefix string
}

// NewLogs writes to w.
func NewLogs(w io.Writer) *Logs {
	return &Logs{w: bufio.NewWriterSize(w, 64<<10), sources: map[string]*source{}}
}

// Register gives a name its colour and makes room for it, so that names that
// are known beforehand are aligned from the first line on.
func (l *Logs) Register(names ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		l.source(name)
	}
}

func (l *Logs) source(name string) *source {
	if s, ok := l.sources[name]; ok {
		return s
	}
	s := &source{}
	switch {
	case l.Color && name == orchestrator.WatchSource:
		s.color = watchColor
	case l.Color:
		s.color = rainbow[len(l.sources)%len(rainbow)]
	}
	l.sources[name] = s
	l.width = max(l.width, len(name)+1)
	if l.Prefix {
		for n, s := range l.sources {
			text := fmt.Sprintf("%-*s | ", l.width, n)
			if n == orchestrator.WatchSource {
				text = strings.Repeat(" ", l.width) + " ⦿ "
			}
			s.prefix = paint(s.color, text)
		}
	}
	return s
}

// Line writes one line of a container's output, which may or may not end in a
// line feed.
func (l *Logs) Line(name, line string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.source(name)
	l.w.WriteString(s.prefix)
	if l.Timestamps {
		l.w.WriteString(at.UTC().Format("2006-01-02T15:04:05.000000000Z"))
		l.w.WriteByte(' ')
	}
	if l.Terminal {
		line = Tame(line)
	}
	l.w.WriteString(strings.TrimSuffix(line, "\n"))
	l.w.WriteByte('\n')
}

// Status writes what happened to a container: "web-1 exited with code 0".
func (l *Logs) Status(name, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.source(name)
	reset := ""
	if l.Color {
		reset = "\r\x1b[K"
	}
	l.w.WriteString(paint(s.color, reset+name+" "+what))
	l.w.WriteByte('\n')
	l.w.Flush()
}

// Flush hands on what is buffered; to be called whenever no further line is
// at hand.
func (l *Logs) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.w.Flush()
}
