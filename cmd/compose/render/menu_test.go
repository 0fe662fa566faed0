package render

import (
	"bytes"
	"strings"
	"testing"
)

// TestMenu writes around the line, which is last on the screen at any time.
func TestMenu(t *testing.T) {
	var out bytes.Buffer
	width := 80
	m := NewMenu(&out, func() int { return width }, false)
	write := func(text string) {
		t.Helper()
		if _, err := m.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	screen := func() string {
		t.Helper()
		var shown []string
		for line := range strings.SplitSeq(out.String(), "\n") {
			if i := strings.LastIndex(line, "\r\x1b[K"); i >= 0 {
				line = line[i+len("\r\x1b[K"):]
			}
			shown = append(shown, line)
		}
		return strings.Join(shown, "\n")
	}
	write("before\n")
	m.Open()
	write("one\n")
	write("half")
	if got, want := screen(), "before\none\nhalf"; got != want {
		t.Errorf("within a line: %q, want %q", got, want)
	}
	write(" more\n")
	m.Watching(true)
	if got, want := screen(), "before\none\nhalf more\nw Disable Watch   d Detach"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	m.Notice("something is missing")
	if got := screen(); !strings.HasSuffix(got, "\nsomething is missing") {
		t.Errorf("%q", got)
	}
	m.Watching(false)
	width = 10
	write("two\n")
	if got := screen(); !strings.HasSuffix(got, "\ntwo\nw Enable…") {
		t.Errorf("narrow: %q", got)
	}
	m.Close()
	write("three\n")
	if got, want := screen(), "before\none\nhalf more\ntwo\nthree\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
