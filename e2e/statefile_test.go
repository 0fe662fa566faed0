package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDamagedState has a command meet each kind of state file damaged or of a
// later format. What is damaged is named and set aside, and the stack goes on;
// what is of a later format is refused and stays as it is.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	h.compose("image", "tag", "busybox", "another").ok() // the store's first own change
	dir := h.project("kept", "compose.yaml", "services: {a: {image: busybox, command: sleep 1000, init: true, volumes: ['data:/data']}}\nvolumes: {data: }\n")
	h.in(dir, "up", "-d").ok()
	h.in(dir, "exec", "-T", "a", "sh", "-c", "echo content >/data/file").ok()
	id := strings.TrimSpace(h.in(dir, "ps", "-q").ok().stdout)
	first := h.state("kept-a-1").Pid
	for _, c := range []struct {
		file  string
		verb  []string
		fails bool // the first command that meets it
	}{
		{file: "containers/" + id + "/config.json", verb: []string{"ps", "-a"}},
		{file: "containers/" + id + "/state.json", verb: []string{"ps", "-a"}},
		{file: "networks/kept_default.json", verb: []string{"network", "inspect", "kept_default"}},
		{file: "volumes/kept_data/volume.json", verb: []string{"volume", "inspect", "kept_data"}, fails: true},
		{file: "images/index.json", verb: []string{"image", "ls", "--format", "{{.Repository}} {{.ID}}"}},
	} {
		path := filepath.Join(h.root, c.file)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		before := h.in(dir, c.verb...).ok().stdout
		for _, text := range []string{"", string(whole[:len(whole)/2]), "\x00\x00\x00\x00\x00\x00\x00\x00", "{}"} {
			writeFile(t, path, text, 0o600)
			if r := h.in(dir, c.verb...); c.fails {
				r.fails(1, path+" is damaged (", "volume.json.damaged now")
				h.in(dir, "up", "-d").ok()
			} else if r.ok(); !strings.Contains(r.stderr, path+" was damaged (") {
				t.Errorf("%s with %q: %s", c.file, text, r.stderr)
			}
			if aside, err := os.ReadFile(path + ".damaged"); err != nil || string(aside) != text {
				t.Errorf("%s with %q: set aside is %q, %v", c.file, text, aside, err)
			}
			after := h.in(dir, c.verb...).ok()
			if after.stderr != "" || !c.fails && after.stdout != before && c.verb[0] != "ps" {
				t.Errorf("%s with %q: the next command says %s%s, before it was %s", c.file, text, after.stdout, after.stderr, before)
			}
			if s := h.state("kept-a-1"); s.Status != "running" || s.Pid != first {
				t.Errorf("%s with %q: the container is %+v", c.file, text, s)
			}
		}
		whole, err = os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		later := `{"version": 99, "name": ["later"]}`
		writeFile(t, path, later, 0o600)
		h.in(dir, c.verb...).fails(1, path+" was written by a newer version of compose (format 99")
		if now, err := os.ReadFile(path); err != nil || string(now) != later {
			t.Errorf("%s is %q now, %v", c.file, now, err)
		}
		writeFile(t, path, string(whole), 0o600)
		h.in(dir, c.verb...).ok()
	}

	// A supervisor that comes back to a damaged state takes the container over.
	supervisor := ourProcess(t, "compose-supervisor", h.root, 0)
	writeFile(t, filepath.Join(h.root, "containers", id, "state.json"), "{", 0o600)
	writeFile(t, filepath.Join(h.root, "containers", id, "config.json"), "{", 0o600)
	if err := syscall.Kill(supervisor, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ourProcess(t, "compose-supervisor", h.root, supervisor)
	if got := h.in(dir, "exec", "-T", "a", "cat", "/data/file").ok().stdout; got != "content\n" {
		t.Errorf("the volume's file is %q", got)
	}
	h.in(dir, "restart", "-t", "0").ok()
	if s := h.state("kept-a-1"); s.Status != "running" || s.Pid == first {
		t.Errorf("restarted, the container is %+v", s)
	}

	// Without a copy the images are gone, and their layers are found again.
	for _, name := range []string{"index.json", ".index.json.copy"} {
		writeFile(t, filepath.Join(h.root, "images", name), "", 0o600)
	}
	h.in(dir, "image", "ls").fails(1, "index.json is damaged (", "run the command again")
	h.in(dir, "image", "ls").ok()
	h.in(dir, "down", "-v", "-t", "0").ok()
	if left, _ := filepath.Glob(filepath.Join(h.root, "networks", ".*.copy")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
