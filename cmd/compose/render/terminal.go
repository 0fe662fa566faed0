package render

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/docker/go-units"
	"golang.org/x/term"

	"compose/orchestrator"
)

// terminal redraws a list of tasks in place, a line each, ten times a second.
type terminal struct {
	w     io.Writer
	color bool
	now   func() time.Time
	size  func() (columns, rows int)

	mu    sync.Mutex
	tasks map[string]*task
	order []*task
	drawn int // lines on the screen that the next drawing replaces
	dirty bool
	stop  chan struct{}
	ended chan struct{}
}

type task struct {
	orchestrator.Event
	start, end time.Time
	children   []*task
}

func newTerminal(w io.Writer, color bool) *terminal {
	t := &terminal{w: w, color: color, now: time.Now, tasks: map[string]*task{}, stop: make(chan struct{}), ended: make(chan struct{})}
	t.size = func() (int, int) {
		if f, ok := w.(*os.File); ok {
			if columns, rows, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
				return columns, rows
			}
		}
		return 80, 24
	}
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
			if t.dirty || t.working() {
				t.draw()
			}
			t.mu.Unlock()
		}
	}
}

func (t *terminal) working() bool {
	for _, k := range t.order {
		if k.Status == orchestrator.Working {
			return true
		}
	}
	return false
}

func (t *terminal) Event(e orchestrator.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, ok := t.tasks[e.ID]
	if !ok {
		k = &task{start: t.now()}
		t.tasks[e.ID] = k
		if parent, ok := t.tasks[e.Parent]; ok {
			parent.children = append(parent.children, k)
		} else {
			t.order = append(t.order, k)
		}
	}
	if e.Status != orchestrator.Working {
		k.end = t.now()
	}
	// Bytes only grow, whatever order the events come in.
	e.Current, e.Total = max(e.Current, k.Current), max(e.Total, k.Total)
	k.Event = e
	t.dirty = true
}

func (t *terminal) Suspend(fn func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.drawn > 0 {
		fmt.Fprintf(t.w, "\x1b[%dA\x1b[0J", t.drawn)
		t.drawn = 0
	}
	fn()
	t.dirty = true
}

func (t *terminal) Close() {
	close(t.stop)
	<-t.ended
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dirty {
		t.draw()
	}
}

// draw writes all lines in one go, over those of the last time.
func (t *terminal) draw() {
	t.dirty = false
	if len(t.order) == 0 {
		return
	}
	columns, rows := t.size()
	var b bytes.Buffer
	if t.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", t.drawn)
	}
	done := 0
	for _, k := range t.order {
		if k.Status != orchestrator.Working {
			done++
		}
	}
	fmt.Fprintf(&b, "[+] Running %d/%d\x1b[0K\n", done, len(t.order))
	lines := 1
	width := 0
	for _, k := range t.order {
		width = max(width, utf8.RuneCountInString(k.ID))
	}
	show := t.order
	if room := max(rows-2, 1); len(show) > room {
		show = show[len(show)-room:] // the newest: the others have scrolled by
	}
	for _, k := range show {
		b.WriteString(t.line(k, width, columns))
		b.WriteString("\x1b[0K\n")
		lines++
	}
	b.WriteString("\x1b[0J")
	t.drawn = lines
	_, _ = t.w.Write(b.Bytes())
}

func (t *terminal) line(k *task, width, columns int) string {
	icon, color := "⠿", ""
	switch k.Status {
	case orchestrator.Working:
		icon = string([]rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")[t.now().UnixMilli()/100%10])
	case orchestrator.Done:
		icon, color = "✔", green
	case orchestrator.Warning:
		icon, color = "!", yellow
	case orchestrator.Failed:
		icon, color = "✘", red
	}
	end := k.end
	if k.Status == orchestrator.Working {
		end = t.now()
	}
	timer := fmt.Sprintf("%.1fs", end.Sub(k.start).Seconds())
	text := k.Text + t.bytes(k)
	if k.Detail != "" {
		text += " " + k.Detail
	}
	// One line a task, whatever it says: a wrapped one could not be redrawn.
	text = strings.Join(strings.Fields(text), " ")
	id := k.ID + strings.Repeat(" ", width-utf8.RuneCountInString(k.ID))
	room := columns - 1 - len(" i ") - width - len("  ") - len("  ") - len(timer)
	if n := utf8.RuneCountInString(text); n > room {
		text = string([]rune(text)[:max(room-1, 0)]) + "…"
	}
	pad := max(room-utf8.RuneCountInString(text), 0)
	if !t.color {
		return " " + icon + " " + id + "  " + text + strings.Repeat(" ", pad) + "  " + timer
	}
	iconColor := color
	if iconColor == "" {
		iconColor = yellow
	}
	return " " + paint(iconColor, icon) + " " + id + "  " + paint(color, text) + strings.Repeat(" ", pad) + "  " + paint(blue, timer)
}

// bytes sums up how much of an image has come.
func (t *terminal) bytes(k *task) string {
	current, total := k.Current, k.Total
	for _, c := range k.children {
		current += c.Current
		total += c.Total
	}
	if k.Status != orchestrator.Working || total == 0 {
		return ""
	}
	return fmt.Sprintf(" %s / %s", units.HumanSize(float64(current)), units.HumanSize(float64(total)))
}
