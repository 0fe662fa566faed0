package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamagedState has a command name each kind of state file that is damaged
// or of a later format, and do its work once the file is as it was.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("kept", "compose.yaml", "services: {a: {image: busybox, command: sleep 1000, stop_grace_period: 0s, volumes: ['data:/data']}}\nvolumes: {data: }\n")
	h.in(dir, "up", "-d").ok()
	id := strings.TrimSpace(h.in(dir, "ps", "-q").ok().stdout)
	for _, c := range []struct {
		file string
		verb []string
	}{
		{"containers/" + id + "/config.json", []string{"ps", "-a"}},
		{"containers/" + id + "/state.json", []string{"ps", "-a"}},
		{"networks/kept_default.json", []string{"network", "inspect", "kept_default"}},
		{"volumes/kept_data/volume.json", []string{"volume", "inspect", "kept_data"}},
		{"images/index.json", []string{"image", "ls"}},
	} {
		path := filepath.Join(h.root, c.file)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		for text, says := range map[string]string{
			"":                                   " is damaged (",
			string(whole[:len(whole)/2]):         " is damaged (",
			"\x00\x00\x00\x00\x00\x00\x00\x00":   " is damaged (",
			`{"version": 99, "name": ["later"]}`: " was written by a newer version of compose (format 99",
		} {
			writeFile(t, path, text, 0o600)
			h.in(dir, c.verb...).fails(1, path+says)
		}
		writeFile(t, path, string(whole), 0o600)
		h.in(dir, c.verb...).ok()
	}
	h.in(dir, "exec", "-T", "a", "true").ok()
	h.in(dir, "down", "-v").ok()
}
