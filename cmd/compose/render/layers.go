package render

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// Layers shows layers on their way to or from a registry, as `docker pull` and
// `docker push` do: on a terminal a line each that changes in place, otherwise
// a line for each thing that has come of one.
type Layers struct {
	w    io.Writer
	live bool

	mu    sync.Mutex
	order []string
	last  map[string]string
}

// NewLayers gives a display; live says that w is a terminal.
func NewLayers(w io.Writer, live bool) *Layers {
	return &Layers{w: w, live: live, last: map[string]string{}}
}

// Set says what has become of a layer; current and total are bytes. It may be
// called from several goroutines.
func (l *Layers) Set(id, status string, current, total int64) {
	moving := status == "Downloading" || status == "Extracting" || status == "Pushing"
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.live {
		if !moving && l.last[id] != status {
			l.last[id] = status
			fmt.Fprintf(l.w, "%s: %s\n", id, status)
		}
		return
	}
	line := id + ": " + status
	if moving && total > 0 {
		line += " " + bar(current, total)
	}
	if l.last[id] == line {
		return
	}
	if _, ok := l.last[id]; !ok {
		l.order = append(l.order, id)
		fmt.Fprintln(l.w)
	}
	l.last[id] = line
	up := 0
	for i, other := range l.order {
		if other == id {
			up = len(l.order) - i
		}
	}
	fmt.Fprintf(l.w, "\x1b[%dA\r\x1b[2K%s\r\x1b[%dB", up, line, up)
}

// bar is Docker's "[=====>     ]  12MB/40MB".
func bar(current, total int64) string {
	const width = 50
	done := int(min(max(current, 0), total) * width / total)
	head := ">"
	if done == width {
		head = ""
	}
	return fmt.Sprintf("[%s%s%s]  %s/%s", strings.Repeat("=", done), head, strings.Repeat(" ", width-done-len(head)), Size(current), Size(total))
}
