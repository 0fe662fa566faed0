package logs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x-json.log")
	w, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("ü", maxPiece) // twice as many bytes
	input := "plain\n\ttab \"q\" \\ \x1b[0m\r\nbroken \xff utf\n" + long + "\nno end"
	var teed bytes.Buffer
	if err := w.Copy(io.MultiReader(strings.NewReader(input[:3]), strings.NewReader(input[3:20]), strings.NewReader(input[20:])), "stderr", func(b []byte) { teed.Write(b) }); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if teed.String() != input {
		t.Error("what was teed is not what was read")
	}
	var got strings.Builder
	pieces := 0
	err = Read(t.Context(), path, Options{Tail: -1}, func(e Entry) {
		got.WriteString(e.Log)
		pieces++
		if e.Stream != "stderr" || e.Time.IsZero() || len(e.Log) > maxPiece+1 {
			t.Errorf("entry %+v", e)
		}
	})
	if want := strings.ReplaceAll(input, "\xff", "\ufffd"); err != nil || got.String() != want {
		t.Errorf("got %q, %v", got.String(), err)
	}
	if pieces != 3+3+1 {
		t.Errorf("%d entries", pieces)
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x-json.log")
	w, err := Open(path, map[string]string{"max-size": "1k", "max-file": "3"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for i := range 100 {
		if err := w.write("stdout", fmt.Appendf(nil, "line %d\n", i)); err != nil {
			t.Fatal(err)
		}
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

func TestWriterOptions(t *testing.T) {
	for _, o := range []map[string]string{{"max-size": "much"}, {"max-file": "0", "max-size": "1k"}, {"max-file": "3"}} {
		if _, err := Open(filepath.Join(t.TempDir(), "x"), o); err == nil {
			t.Errorf("%v is no error", o)
		}
	}
}

func BenchmarkWriter(b *testing.B) {
	w, err := Open(filepath.Join(b.TempDir(), "x-json.log"), map[string]string{"max-size": "64m"})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	input := bytes.Repeat([]byte("2024-01-02 03:04:05 GET /index.html 200\n"), 10000)
	b.SetBytes(int64(len(input)))
	for b.Loop() {
		if err := w.Copy(bytes.NewReader(input), "stdout", func([]byte) {}); err != nil {
			b.Fatal(err)
		}
	}
}
