package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// points are where a writer may die in a step.
var points = []string{"before", "begun", "half written", "written", "half dropped", "dropped", "ended"}

// stepUntil makes one step of Writer.steps as far as the point.
func (w *Writer) stepUntil(t *testing.T, s *stream, point string) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := takeBench()
	check(err)
	defer b.discard()
	staged, err := s.staged()
	check(err)
	b.in = append(b.in, s.rest...)
	check(b.peek(s.fd()))
	next, _ := w.cut(s, b, 0, len(s.rest), false)
	next.staged, next.from, next.to = staged, w.size, w.size+int64(len(b.out))
	for _, p := range points {
		switch p {
		case "begun":
			check(w.journal.begin(s.index, &next))
		case "half written":
			w.write(b.out[:len(b.out)/2])
		case "written":
			w.write(b.out[len(b.out)/2:])
		case "half dropped":
			check(b.drop(s.fd(), next.taken/2))
		case "dropped":
			check(b.drop(s.fd(), next.taken-next.taken/2))
		case "ended":
			check(w.journal.end(s.index, &next))
		}
		if p == point {
			return
		}
	}
}

// TestDeath lets a writer die at every point of a step, and another go on: the
// file is the same as if nothing had happened.
func TestDeath(t *testing.T) {
	first := "one\ntwo\nthe beg" // logged before
	for name, second := range map[string]string{
		"lines":      "inning\nthree\nfour\nand a be",
		"no feed":    "inning of a long line",
		"long":       strings.Repeat("ü", MaxPiece) + "\nend",
		"many":       strings.Repeat("0123456789\n", 5000),
		"whole line": "inning\n",
	} {
		for _, point := range points {
			t.Run(name+", "+point, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "x-json.log")
				left := map[string]*os.File{}
				keep := Keep{Left: left, Store: func(name string, f *os.File) { left[name] = f }}
				w, err := Open(path, nil, Keep{Store: keep.Store})
				if err != nil {
					t.Fatal(err)
				}
				r, in, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				raw, err := r.SyscallConn()
				if err != nil {
					t.Fatal(err)
				}
				s := w.streams[0]
				fmt.Fprint(in, first)
				if more, err := w.fill(s, raw); err != nil || !more {
					t.Fatal(more, err)
				}
				if err := w.log(s, nothing, false); err != nil {
					t.Fatal(err)
				}
				fmt.Fprint(in, second)
				if more, err := w.fill(s, raw); err != nil || !more {
					t.Fatal(more, err)
				}
				w.stepUntil(t, s, point)
				// It is dead. The other stream goes on first, on the same file.
				time.Sleep(time.Millisecond)
				w, err = Open(path, nil, keep)
				if err != nil {
					t.Fatal(err)
				}
				defer w.Close()
				if err := w.Copy(output(t, "error\n", 10), "stderr", nothing); err != nil {
					t.Fatal(err)
				}
				third := "\nlast\n"
				fmt.Fprint(in, third)
				in.Close()
				if err := w.Copy(r, "stdout", nothing); err != nil {
					t.Fatal(err)
				}
				var out, errs strings.Builder
				if err := Read(t.Context(), path, Options{Tail: -1}, func(e Entry) {
					if e.Stream == "stderr" {
						errs.WriteString(e.Log)
					} else {
						out.WriteString(e.Log)
					}
				}); err != nil {
					t.Fatal(err)
				}
				if want := first + second + third; out.String() != want {
					t.Errorf("got %d bytes, want %d:\n%.200q", out.Len(), len(want), out.String())
				}
				if errs.String() != "error\n" {
					t.Errorf("the other stream: %q", errs.String())
				}
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				for l := range strings.Lines(string(data)) {
					if _, err := parse([]byte(l)); err != nil {
						t.Errorf("broken line %.100q", l)
					}
				}
			})
		}
	}
}
