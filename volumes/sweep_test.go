package volumes

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSweep sweeps what killed processes have left: not volumes, not files that
// somebody may want, and nothing while a volume is being made.
func TestSweep(t *testing.T) {
	s := newStore(t)
	s.Sweep() // no volume was ever made
	if _, err := s.Create(Config{Name: "whole"}); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{s.Path(trashPrefix + "1"), s.Path("half"), s.Path("files")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{filepath.Join(s.Path(trashPrefix+"1"), "f"), filepath.Join(s.Path("files"), "f")} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	there := func(want ...string) {
		t.Helper()
		all, err := os.ReadDir(s.dir)
		if err != nil || len(all) != len(want)+1 { // and the lock
			t.Errorf("there are %v, %v", all, err)
		}
		for _, name := range want {
			if _, err := os.Stat(s.Path(name)); err != nil {
				t.Error(err)
			}
		}
	}
	lock, err := s.lock()
	if err != nil {
		t.Fatal(err)
	}
	s.Sweep()
	there("whole", "half", "files", trashPrefix+"1")
	lock.Unlock()
	s.Sweep()
	there("whole", "files")
}
