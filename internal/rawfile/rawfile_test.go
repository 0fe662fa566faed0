package rawfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestRead compares with os.ReadFile, at sizes around those of the buffer, and
// in /proc, which gives long files in pieces.
func TestRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	paths := []string{"/proc/self/mountinfo", "/proc/kallsyms", "/proc/self/cmdline"}
	for _, n := range []int{0, 1, first - 1, first, first + 1, 3*first + 7, 1 << 20} {
		want := bytes.Repeat([]byte("compose"), n/7+1)[:n]
		if err := os.WriteFile(file, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("of %d bytes it read %d, %v", n, len(got), err)
		}
	}
	for _, path := range paths {
		want, wantErr := os.ReadFile(path)
		if got, err := Read(path); !bytes.Equal(got, want) || (err == nil) != (wantErr == nil) {
			t.Errorf("%s: read %d bytes, %v; want %d, %v", path, len(got), err, len(want), wantErr)
		}
	}
}

func TestAppend(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("behind"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, room := range []int{0, 3, 6, 100} {
		got, err := Append(append(make([]byte, 0, 7+room), "before "...), file)
		if err != nil || string(got) != "before behind" {
			t.Errorf("with room for %d: %q, %v", room, got, err)
		}
	}
}

func TestReadFails(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none"), dir, filepath.Join(dir, "a\x00b")} {
		_, want := os.ReadFile(path)
		_, err := Read(path)
		var at *fs.PathError
		if err == nil || err.Error() != want.Error() || !errors.As(err, &at) || at.Path != path {
			t.Errorf("%q: %v, want %v", path, err, want)
		}
	}
	if _, err := Read(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no file: %v", err)
	}
}

// TestReadLeaksNothing looks for descriptors that stay open.
func TestReadLeaksNothing(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := count()
	for range 50 {
		_, _ = Read("/proc/self/stat")
		_, _ = Read(t.TempDir())
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

func BenchmarkRead(b *testing.B) {
	file := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(file, make([]byte, 1200), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Run("raw", func(b *testing.B) {
		for b.Loop() {
			_, _ = Read(file)
		}
	})
	b.Run("os", func(b *testing.B) {
		for b.Loop() {
			_, _ = os.ReadFile(file)
		}
	})
}
