package render

import (
	"io"
	"strings"
	"sync"
)

// Menu is a line below the output on a terminal that names the keys there are.
// What is written to it goes above the line.
type Menu struct {
	mu       sync.Mutex
	w        io.Writer
	width    func() int // columns of the terminal
	color    bool
	open     bool
	shown    bool
	whole    bool // the last line that was written is complete
	watching bool
	notice   string // said instead of the keys until something is written
}

// NewMenu makes a menu that is not open yet.
func NewMenu(w io.Writer, width func() int, color bool) *Menu {
	return &Menu{w: w, width: width, color: color, whole: true}
}

// Open shows it from now on.
func (m *Menu) Open() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open = true
	m.show()
}

// Close takes it away for good.
func (m *Menu) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hide()
	m.open = false
}

// Write writes above the line.
func (m *Menu) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hide()
	n, err := m.w.Write(p)
	if len(p) > 0 {
		m.whole, m.notice = p[len(p)-1] == '\n', ""
	}
	m.show()
	return n, err
}

// Watching says whether files are watched.
func (m *Menu) Watching(on bool) { m.change(func() { m.watching = on }) }

// Notice says something in the place of the keys.
func (m *Menu) Notice(text string) { m.change(func() { m.notice = text }) }

// Refresh draws it again, for a terminal that has been used by others.
func (m *Menu) Refresh() { m.change(func() {}) }

func (m *Menu) change(what func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hide()
	what()
	m.show()
}

func (m *Menu) hide() {
	if m.shown {
		_, _ = io.WriteString(m.w, "\r\x1b[K") // a terminal that is gone needs nothing
		m.shown = false
	}
}

func (m *Menu) show() {
	if !m.open || m.shown || !m.whole {
		return
	}
	_, _ = io.WriteString(m.w, m.line()) // likewise
	m.shown = true
}

// line is cut short where the terminal is narrow: one that wraps could not be
// taken away again.
func (m *Menu) line() string {
	if m.notice != "" {
		return ellipsis(m.notice, max(m.width()-1, 1))
	}
	watch := "Enable Watch"
	if m.watching {
		watch = "Disable Watch"
	}
	keys := [][2]string{{"w", watch}, {"d", "Detach"}}
	var plain, styled []string
	for _, k := range keys {
		plain = append(plain, k[0]+" "+k[1])
		styled = append(styled, paint("7", k[0])+" "+paint("2", k[1]))
	}
	text := strings.Join(plain, "   ")
	if m.color && len(text) < m.width() {
		return strings.Join(styled, "   ")
	}
	return ellipsis(text, max(m.width()-1, 1))
}
