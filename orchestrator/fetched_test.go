package orchestrator

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSweepFetched sweeps while somebody fetches, and after one was killed at it.
func TestSweepFetched(t *testing.T) {
	above := filepath.Join(t.TempDir(), "published")
	if err := sweepFetched(above); err != nil {
		t.Errorf("where nothing was ever fetched: %v", err)
	}
	killed := filepath.Join(above, unfetchedPrefix+"1")
	if err := os.MkdirAll(filepath.Join(killed, "half"), 0o700); err != nil {
		t.Fatal(err)
	}
	dir, err := fetchedOnce(above, "sum", func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("x"), 0o600); err != nil {
			return err
		}
		return sweepFetched(above)
	})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "compose.yaml")); string(text) != "x" {
		t.Errorf("what was fetched while somebody swept: %q, %v", text, err)
	}
	if _, err := os.Stat(killed); err != nil {
		t.Error("something was swept while somebody fetched")
	}
	if err := sweepFetched(above); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(above)
	if err != nil || len(left) != 1 || left[0].Name() != "sum" {
		t.Errorf("left are %v, %v", left, err)
	}
}
