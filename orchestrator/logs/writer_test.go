package logs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// output is a stream that says text, in writes of at most so many bytes, and
// then ends.
func output(tb testing.TB, text string, chunk int) *os.File {
	tb.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	go func() {
		defer w.Close()
		for len(text) > 0 {
			n := min(chunk, len(text))
			if _, err := io.WriteString(w, text[:n]); err != nil {
				return
			}
			text = text[n:]
		}
	}()
	return r
}

func nothing([]byte) {}

func whole(t *testing.T, path string) string {
	t.Helper()
	var all strings.Builder
	if err := Read(t.Context(), path, Options{Tail: -1}, func(e Entry) { all.WriteString(e.Log) }); err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestWriter(t *testing.T) {
	long := strings.Repeat("ü", MaxPiece) // twice as many bytes
	input := "plain\n\ttab \"q\" \\ \x1b[0m\r\nbroken \xff utf\n" + long + "\nx" + long + "\nno end"
	for _, chunk := range []int{1, 7, 1000, 16384, 1 << 20} {
		path := filepath.Join(t.TempDir(), "x-json.log")
		w, err := Open(path, nil, Keep{})
		if err != nil {
			t.Fatal(err)
		}
		var teed bytes.Buffer
		if err := w.Copy(output(t, input, chunk), "stderr", func(b []byte) { teed.Write(b) }); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if teed.String() != input {
			t.Error("what was teed is not what was read")
		}
		pieces := 0
		err = Read(t.Context(), path, Options{Tail: -1}, func(e Entry) {
			pieces++
			if e.Stream != "stderr" || e.Time.IsZero() || len(e.Log) > MaxPiece {
				t.Errorf("entry of %d bytes: %s %s", len(e.Log), e.Stream, e.Time)
			}
		})
		if got, want := whole(t, path), strings.ReplaceAll(input, "\xff", "\ufffd"); err != nil || got != want {
			t.Errorf("got %d bytes, want %d, %v", len(got), len(want), err)
		}
		if pieces != 3+3+3+1 {
			t.Errorf("%d entries with writes of %d bytes", pieces, chunk)
		}
	}
}

// TestSilent sees that a stream that says nothing costs no file.
func TestSilent(t *testing.T) {
	stored := 0
	w, err := Open(filepath.Join(t.TempDir(), "x-json.log"), nil, Keep{Store: func(string, *os.File) { stored++ }})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Copy(output(t, "", 1), "stdout", nothing); err != nil || stored != 0 {
		t.Errorf("%d files, %v", stored, err)
	}
	if err := w.Copy(output(t, "x", 1), "stdout", nothing); err != nil || stored != 2 {
		t.Errorf("%d files, %v", stored, err)
	}
}

func TestTerminal(t *testing.T) {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	console := os.NewFile(uintptr(master), "console")
	defer console.Close()
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := range 3000 {
			fmt.Fprintln(slave, i)
			if i == 5 {
				time.Sleep(20 * time.Millisecond) // the other side has to wait
			}
		}
		slave.Close()
	}()
	path := filepath.Join(t.TempDir(), "x-json.log")
	w, err := Open(path, nil, Keep{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Copy(console, "stdout", nothing); err != nil {
		t.Fatal(err)
	}
	if got := whole(t, path); strings.Count(got, "\n") != 3000 || !strings.HasSuffix(got, "2999\r\n") {
		t.Errorf("%d lines, the end %q", strings.Count(got, "\n"), got[max(0, len(got)-20):])
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x-json.log")
	w, err := Open(path, map[string]string{"max-size": "1k", "max-file": "3"}, Keep{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var input strings.Builder
	for i := range 100 {
		fmt.Fprintf(&input, "line %d\n", i)
	}
	if err := w.Copy(output(t, input.String(), 1<<20), "stdout", nothing); err != nil {
		t.Fatal(err)
	}
	got := read(t, path, Options{Tail: -1})
	if len(got) < 20 || len(got) > 50 || got[len(got)-1] != "line 99" {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
	files, _ := filepath.Glob(path + "*")
	if len(files) != 3 {
		t.Errorf("files %q", files)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() > 1100 {
			t.Errorf("%s: %d bytes, %v", f, info.Size(), err)
		}
	}
}

// TestFullDisk loses lines and says so once, and goes on when there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("small", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, 0)
	path := filepath.Join(dir, "x-json.log")
	var warned []error
	w, err := Open(path, nil, Keep{Warn: func(err error) { warned = append(warned, err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Copy(output(t, strings.Repeat("0123456789abcdef\n", 20000), 4000), "stdout", nothing); err != nil {
		t.Fatal(err)
	}
	if len(warned) != 1 {
		t.Errorf("warned %v", warned)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if err := w.Copy(output(t, "there is room again\n", 100), "stdout", nothing); err != nil {
		t.Fatal(err)
	}
	if got := whole(t, path); got != "there is room again\n" {
		t.Errorf("got %q", got)
	}
}

func TestWriterOptions(t *testing.T) {
	for _, o := range []map[string]string{{"max-size": "much"}, {"max-file": "0", "max-size": "1k"}, {"max-file": "3"}} {
		if _, err := Open(filepath.Join(t.TempDir(), "x"), o, Keep{}); err == nil {
			t.Errorf("%v is no error", o)
		}
	}
}

func BenchmarkWriter(b *testing.B) {
	w, err := Open(filepath.Join(b.TempDir(), "x-json.log"), map[string]string{"max-size": "64m"}, Keep{})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	input := strings.Repeat("2024-01-02 03:04:05 GET /index.html 200\n", 10000)
	b.SetBytes(int64(len(input)))
	for b.Loop() {
		if err := w.Copy(output(b, input, 1<<20), "stdout", nothing); err != nil {
			b.Fatal(err)
		}
	}
}
