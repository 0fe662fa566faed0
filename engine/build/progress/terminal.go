package progress

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/docker/go-units"
	"github.com/opencontainers/go-digest"

	"compose/engine/build"
)

// logLines is how many lines of a running step's output are shown.
const logLines = 6

// terminal redraws the steps in place, ten times a second.
type terminal struct {
	w    io.Writer
	size func() (columns, rows int)

	mu    sync.Mutex
	began time.Time
	steps map[digest.Digest]*liveStep
	order []*liveStep
	drawn int // lines on the screen that the next drawing replaces
	found findings
	stop  chan struct{}
	ended chan struct{}
}

type liveStep struct {
	name           string
	started, ended time.Time
	cached         bool
	failed         string
	statuses       []build.Status
	output         []string // its last lines
	rest           string   // of a line that has not ended
}

func newTerminal(w io.Writer, size func() (columns, rows int)) *terminal {
	t := &terminal{w: w, size: size, began: time.Now(), steps: map[digest.Digest]*liveStep{}, stop: make(chan struct{}), ended: make(chan struct{})}
	go t.tick()
	return t
}

func (t *terminal) tick() {
	defer close(t.ended)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-ticker.C:
			t.mu.Lock()
			t.draw(false)
			t.mu.Unlock()
		}
	}
}

func (t *terminal) Event(e build.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Warning != nil {
		t.found.add(e.Warning)
		return
	}
	s := t.steps[e.Vertex]
	if s == nil {
		s = &liveStep{name: e.Name, started: time.Now()}
		t.steps[e.Vertex] = s
		t.order = append(t.order, s)
	}
	if e.Started != nil {
		s.started = *e.Started
	}
	if e.Completed != nil {
		s.ended, s.cached, s.failed = *e.Completed, e.Cached, e.Error
	}
	if e.Status != nil {
		s.status(*e.Status)
	}
	if len(e.Log) > 0 {
		s.log(string(e.Log))
	}
}

func (s *liveStep) status(st build.Status) {
	for i := range s.statuses {
		if s.statuses[i].ID == st.ID {
			s.statuses[i] = st
			return
		}
	}
	s.statuses = append(s.statuses, st)
}

func (s *liveStep) log(text string) {
	lines := strings.Split(s.rest+text, "\n")
	s.rest = lines[len(lines)-1]
	for _, l := range lines[:len(lines)-1] {
		l = strings.TrimRight(l, "\r")
		s.output = append(s.output, l[strings.LastIndexByte(l, '\r')+1:])
	}
	s.output = s.output[max(0, len(s.output)-logLines):]
}

func (t *terminal) Close() {
	close(t.stop)
	<-t.ended
	t.mu.Lock()
	defer t.mu.Unlock()
	t.draw(true)
	t.found.print(t.w)
}

// draw writes all lines in one go, over those of the last time. At the end
// nothing is left out for the sake of the screen's height.
func (t *terminal) draw(last bool) {
	if len(t.order) == 0 {
		return
	}
	columns, rows := t.size()
	done, failed := 0, false
	for _, s := range t.order {
		if !s.ended.IsZero() {
			done++
		}
		failed = failed || s.failed != ""
	}
	head := fmt.Sprintf("[+] Building %.1fs (%d/%d)", time.Since(t.began).Seconds(), done, len(t.order))
	if last && !failed {
		head += " FINISHED"
	}
	lines := []string{head}
	for _, s := range t.order {
		lines = append(lines, s.lines(columns)...)
	}
	if room := max(rows-1, 2); !last && len(lines) > room {
		lines = append(lines[:1], lines[len(lines)-room+1:]...)
	}
	var b bytes.Buffer
	if t.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", t.drawn)
	}
	for _, l := range lines {
		b.WriteString(l)
		b.WriteString("\x1b[0K\n")
	}
	b.WriteString("\x1b[0J")
	t.drawn = len(lines)
	_, _ = t.w.Write(b.Bytes())
}

func (s *liveStep) lines(columns int) []string {
	end := s.ended
	if end.IsZero() {
		end = time.Now()
	}
	name := s.name
	switch {
	case s.failed != "":
		name = "ERROR " + name
	case s.cached:
		name = "CACHED " + name
	}
	out := []string{row(" => "+name, end.Sub(s.started), columns)}
	for _, st := range s.statuses {
		text := st.ID
		if st.Total > 0 && !st.Done {
			text += fmt.Sprintf(" %s / %s", units.HumanSize(float64(st.Current)), units.HumanSize(float64(st.Total)))
		} else if st.Text != "" && st.Text != "done" {
			text += " " + st.Text
		}
		out = append(out, row(" => => "+text, end.Sub(s.started), columns))
	}
	if s.ended.IsZero() || s.failed != "" {
		for _, l := range s.output {
			out = append(out, cut(" => => # "+clean(l), columns-1))
		}
	}
	return out
}

// row is a text with a time at the right edge of the screen.
func row(text string, d time.Duration, columns int) string {
	timer := fmt.Sprintf("%.1fs", d.Seconds())
	room := max(columns-2-len(timer), 1)
	text = cut(clean(text), room)
	return text + strings.Repeat(" ", room-utf8.RuneCountInString(text)+1) + timer
}

// clean takes out what would move the cursor or change the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, s)
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:max(n-1, 0)]) + "…"
	}
	return s
}
