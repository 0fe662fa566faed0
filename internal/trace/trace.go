// Package trace writes down how long the phases of a command take, in the
// Chrome trace format, across all processes that take part in it. Switched
// off, a span costs the look at one variable.
//
// The file is a JSON array that is never closed, which the format allows: each
// process appends its spans with one write each. Times are those of the
// monotonic clock, which all processes of a machine share.
package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// begun is when this process's own initialisation began: this package's comes
// early, because it imports little.
var begun = now()

var (
	current atomic.Pointer[file]
	mu      sync.Mutex // of joining and leaving
)

type file struct {
	*os.File
	users int
}

// now is the monotonic clock in nanoseconds.
func now() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}

// Create begins a trace, in a file that is emptied if it exists.
func Create(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("begin the trace: %w", err)
	}
	if _, err := f.WriteString("[\n"); err != nil {
		f.Close()
		return fmt.Errorf("begin the trace: %w", err)
	}
	begin(f)
	return nil
}

// Join appends to a trace that another process has begun, until the function
// that it returns is called. Without a path, or with one that cannot be
// written to, nothing is traced.
func Join(path string) (leave func()) {
	if path == "" {
		return func() {}
	}
	mu.Lock()
	defer mu.Unlock()
	f := current.Load()
	if f == nil {
		opened, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return func() {}
		}
		f = begin(opened)
	}
	f.users++
	var once sync.Once
	return func() {
		once.Do(func() {
			mu.Lock()
			defer mu.Unlock()
			if f.users--; f.users == 0 {
				current.Store(nil)
				f.Close()
			}
		})
	}
}

func begin(opened *os.File) *file {
	f := &file{File: opened}
	name, _ := json.Marshal(os.Args[0])
	fmt.Fprintf(f, `{"name":"process_name","ph":"M","pid":%d,"args":{"name":%s}},`+"\n", os.Getpid(), name)
	current.Store(f)
	return f
}

// Path is that of the trace under way, or "".
func Path() string {
	if f := current.Load(); f != nil {
		return f.Name()
	}
	return ""
}

// Span is a phase that has begun.
type Span struct {
	name, about string
	from, to    int64 // to is 0 while it lasts
}

// Begin begins a phase; about says which of several like it.
func Begin(name, about string) Span {
	if current.Load() == nil {
		return Span{}
	}
	return Span{name, about, now(), 0}
}

// SinceStart is a phase that began with the process's own initialisation.
func SinceStart(name, about string) Span { return Span{name, about, begun, 0} }

// Over is a phase that is over by now; End only writes it down.
func (s Span) Over() Span {
	s.to = now()
	return s
}

// End ends a phase, which is written down. It is to be called on the
// goroutine that began it.
func (s Span) End() {
	f := current.Load()
	if f == nil || s.from == 0 {
		return
	}
	if s.to == 0 {
		s.to = now()
	}
	event := struct {
		Name     string            `json:"name"`
		Phase    string            `json:"ph"`
		Time     float64           `json:"ts"` // microseconds, as is the next
		Duration float64           `json:"dur"`
		PID      int               `json:"pid"`
		TID      int               `json:"tid"`
		Args     map[string]string `json:"args,omitempty"`
	}{s.name, "X", micro(s.from), micro(s.to - s.from), os.Getpid(), goroutine(), nil}
	if s.about != "" {
		event.Args = map[string]string{"about": s.about}
	}
	line, err := json.Marshal(event)
	if err != nil {
		return
	}
	_, _ = f.Write(append(line, ",\n"...)) // a trace must not fail the work
}

func micro(ns int64) float64 { return float64(ns) / float64(time.Microsecond) }

// goroutine is the number of the calling goroutine. It is what the format
// calls a thread: on one, spans lie within each other, while Go's threads run
// parts of many.
func goroutine() int {
	var buf [64]byte
	text := buf[:runtime.Stack(buf[:], false)]
	text = bytes.TrimPrefix(text, []byte("goroutine "))
	n, _ := strconv.Atoi(string(text[:max(0, bytes.IndexByte(text, ' '))]))
	return n
}
