// Package progress shows how a build goes on.
package progress

import (
	"fmt"
	"io"
	"sort"
	"sync"

	"compose/engine/build"
)

// Display shows the events of one or more builds.
type Display interface {
	// Event shows one piece of news. It may be called from several goroutines.
	Event(build.Event)
	// Close shows the last state, and what the Dockerfile linter has found.
	Close()
}

// The ways in which builds are shown.
const (
	ModePlain   = "plain"
	ModeTTY     = "tty"
	ModeQuiet   = "quiet"
	ModeRawJSON = "rawjson"
)

// New returns a display of a mode that writes to w. size is that of the
// terminal, in characters; only ModeTTY asks for it.
func New(w io.Writer, mode string, size func() (columns, rows int)) (Display, error) {
	switch mode {
	case ModePlain:
		return NewPlain(w), nil
	case ModeTTY:
		return newTerminal(w, size), nil
	case ModeQuiet:
		return silent{}, nil
	case ModeRawJSON:
		return newRawJSON(w), nil
	}
	return nil, fmt.Errorf("invalid progress mode %s; use auto, plain, tty, quiet or rawjson", mode)
}

type silent struct{}

func (silent) Event(build.Event) {}
func (silent) Close()            {}

// findings are the linter's, each once.
type findings struct {
	mu   sync.Mutex
	list []build.Warning
}

func (f *findings) add(w *build.Warning) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, have := range f.list {
		if have == *w {
			return
		}
	}
	f.list = append(f.list, *w)
}

// print lists the findings as `docker build` does.
func (f *findings) print(w io.Writer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) == 0 {
		return
	}
	sort.SliceStable(f.list, func(i, j int) bool { return f.list[i].Line < f.list[j].Line })
	word := "warnings"
	if len(f.list) == 1 {
		word = "warning"
	}
	fmt.Fprintf(w, "\n %d %s found:\n", len(f.list), word)
	for _, one := range f.list {
		fmt.Fprintf(w, " - %s: %s (line %d)\n", one.Rule, one.Message, one.Line)
	}
	f.list = nil
}
