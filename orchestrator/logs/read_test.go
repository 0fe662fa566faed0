package logs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var start = time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC)

func line(text string, at int) string {
	data, err := json.Marshal(Entry{Log: text, Stream: "stdout", Time: start.Add(time.Duration(at) * time.Second)})
	if err != nil {
		panic(err)
	}
	return string(data) + "\n"
}

func write(t *testing.T, path string, lines ...string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(strings.Join(lines, "")); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string, opts Options) []string {
	t.Helper()
	var got []string
	if err := Read(t.Context(), path, opts, func(e Entry) { got = append(got, strings.TrimSuffix(e.Log, "\n")) }); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestParse(t *testing.T) {
	for _, text := range []string{"plain\n", "no feed", "", "\n", `back\slash "quoted"` + "\n", "tab\tand\x1b[0m\n", "über\n", `ends in \n`, "<&>\n"} {
		e, err := parse([]byte(line(text, 1)))
		if err != nil || e.Log != text || e.Stream != "stdout" || !e.Time.Equal(start.Add(time.Second)) {
			t.Errorf("%q: got %+v, %v", text, e, err)
		}
	}
	if _, err := parse([]byte("{\"log\":\"cut off")); err == nil {
		t.Error("half a line is no error")
	}
}

func TestReadPicks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x-json.log")
	if got := read(t, path, Options{Tail: -1}); got != nil {
		t.Errorf("no file: %q", got)
	}
	write(t, path+".2", line("1\n", 1), line("2\n", 2))
	write(t, path+".1", line("3\n", 3), "garbage\n", line("4\n", 4))
	write(t, path, line("5\n", 5), line("6\n", 6))
	for _, c := range []struct {
		opts Options
		want string
	}{
		{Options{Tail: -1}, "1 2 3 4 5 6"},
		{Options{Tail: 0}, ""},
		{Options{Tail: 1}, "6"},
		{Options{Tail: 2}, "5 6"},
		{Options{Tail: 3}, "4 5 6"},
		{Options{Tail: 100}, "1 2 3 4 5 6"},
		{Options{Tail: -1, Since: start.Add(3 * time.Second)}, "3 4 5 6"},
		{Options{Tail: -1, Until: start.Add(3 * time.Second)}, "1 2 3"},
		{Options{Tail: -1, Since: start.Add(2 * time.Second), Until: start.Add(5 * time.Second)}, "2 3 4 5"},
	} {
		if got := strings.Join(read(t, path, c.opts), " "); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.opts, got, c.want)
		}
	}
}

func TestTailOfLongFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x-json.log")
	var all []string
	for i := range 5000 {
		all = append(all, line(fmt.Sprintf("%d %s\n", i, strings.Repeat("x", i%90)), i))
	}
	write(t, path, all...)
	got := read(t, path, Options{Tail: 3000})
	if len(got) != 3000 || !strings.HasPrefix(got[0], "2000 ") {
		t.Errorf("%d lines from %q on", len(got), got[0])
	}
}

// collector gathers entries of a reader that follows.
type collector struct {
	mu  sync.Mutex
	got []string
}

func (c *collector) emit(e Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, strings.TrimSuffix(e.Log, "\n"))
}

func (c *collector) wait(t *testing.T, want ...string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		c.mu.Lock()
		got := slices.Clone(c.got)
		c.mu.Unlock()
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %q, want %q", got, want)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestFollow(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c", "x-json.log")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var c collector
	done := make(chan error, 1)
	sync := make(chan func() bool)
	go func() { done <- Read(ctx, path, Options{Tail: -1, Follow: true, Sync: sync}, c.emit) }()

	write(t, path, line("a\n", 1))
	c.wait(t, "a")
	half := line("b\n", 2)
	write(t, path, half[:10])
	write(t, path, half[10:], line("c\n", 3))
	c.wait(t, "a", "b", "c")

	// Two rotations at once: nothing is lost.
	write(t, path, line("d\n", 4))
	rename(t, path, path+".1")
	write(t, path, line("e\n", 5))
	rename(t, path+".1", path+".2")
	rename(t, path, path+".1")
	write(t, path, line("f\n", 6))
	c.wait(t, "a", "b", "c", "d", "e", "f")

	write(t, path, line("g\n", 7))
	reached := make(chan []string, 1)
	sync <- func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		reached <- slices.Clone(c.got)
		return true
	}
	if got := <-reached; got[len(got)-1] != "g" {
		t.Errorf("at sync: %q", got)
	}
	sync <- func() bool { return false }
	if err := <-done; err != nil {
		t.Errorf("end: %v", err)
	}
}

func TestFollowEnds(t *testing.T) {
	for name, end := range map[string]struct {
		do   func(cancel func(), dir string)
		want error
	}{
		"cancelled": {func(cancel func(), _ string) { cancel() }, context.Canceled},
		"removed":   {func(_ func(), dir string) { os.RemoveAll(dir) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "c")
			os.Mkdir(dir, 0o700)
			path := filepath.Join(dir, "x-json.log")
			write(t, path, line("a\n", 1), line("b\n", 2))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var c collector
			done := make(chan error, 1)
			go func() { done <- Read(ctx, path, Options{Tail: 1, Follow: true}, c.emit) }()
			c.wait(t, "b")
			end.do(cancel, dir)
			select {
			case err := <-done:
				if !errors.Is(err, end.want) {
					t.Errorf("got %v", err)
				}
			case <-time.After(time.Minute):
				t.Fatal("it goes on")
			}
		})
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if len(shared.subs) != 0 {
		t.Errorf("%d watches are left", len(shared.subs))
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkRead(b *testing.B) {
	path := filepath.Join(b.TempDir(), "x-json.log")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 100000 {
		fmt.Fprint(f, line("2024-01-02 03:04:05 GET /index.html 200\n", i))
	}
	f.Close()
	info, _ := os.Stat(path)
	b.SetBytes(info.Size())
	for b.Loop() {
		n := 0
		if err := Read(b.Context(), path, Options{Tail: -1}, func(Entry) { n++ }); err != nil || n != 100000 {
			b.Fatal(n, err)
		}
	}
}
