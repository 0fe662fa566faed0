package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckAppArmor(t *testing.T) {
	dir := t.TempDir()
	on, off := filepath.Join(dir, "on"), filepath.Join(dir, "off")
	for path, text := range map[string]string{on: "Y\n", off: "N\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		value, enabled string
		refused        bool
	}{
		{"mine", on, true}, {"mine", off, false}, {"mine", filepath.Join(dir, "none"), false}, {"unconfined", on, false}, {"docker-default", on, false},
	} {
		err := checkAppArmor(securityOpt{"apparmor", c.value}, c.enabled)
		if (err != nil) != c.refused || err != nil && !strings.Contains(err.Error(), "apparmor=mine") {
			t.Errorf("%s with %s: %v", c.value, filepath.Base(c.enabled), err)
		}
	}
}
