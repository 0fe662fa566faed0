package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestAppArmorEnabled(t *testing.T) {
	dir := t.TempDir()
	if appArmorIn(dir) {
		t.Error("a kernel without the module confines by it")
	}
	mkdirs(t, dir+"/module/apparmor/parameters")
	for text, want := range map[string]bool{"Y\n": true, "N\n": false, "": false} {
		writeFile(t, dir+"/module/apparmor/parameters/enabled", text)
		if appArmorIn(dir) != want {
			t.Errorf("%q means %v", text, !want)
		}
	}
}

// TestEntersProfile lets a file take the place of the kernel's attribute: this
// kernel may have no AppArmor. It is the host's, which no container sees.
func TestEntersProfile(t *testing.T) {
	at := func(file string) (read func() string) {
		dir := t.TempDir()
		mkdirs(t, filepath.Dir(filepath.Join(dir, file)))
		writeFile(t, filepath.Join(dir, file), "")
		hostProc = dir
		return func() string {
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, file), "")
			return string(text)
		}
	}
	t.Cleanup(func() { hostProc = "/proc" })
	for _, file := range []string{"self/attr/apparmor/exec", "self/attr/exec"} {
		written := at(file)
		cfg := newConfig(t, "sleep", "1000")
		cfg.Spec.Process.ApparmorProfile, cfg.Spec.Process.NoNewPrivileges = "mine", true
		cfg.Spec.Process.User.UID = 1000
		c := running(t, cfg)
		if got := written(); got != "exec mine" {
			t.Errorf("the first process has written %q to %s", got, file)
		}
		text, _ := inside(t, c, cfg, func(p *specs.Process) { p.ApparmorProfile = "another one" }, "sh", "-c", "ls /proc/self/fd | tr '\\n' ' '")
		if got := written(); got != "exec another one" || text != "0 1 2 3 " {
			t.Errorf("an exec has written %q, and has the descriptors %s", got, text)
		}
		inside(t, c, cfg, func(p *specs.Process) { p.ApparmorProfile = Unconfined }, "true")
		if got := written(); got != "" {
			t.Errorf("unconfined, it has written %q", got)
		}
	}
}

// TestProfileThatCannotBeEntered: nothing runs without what was to confine it.
func TestProfileThatCannotBeEntered(t *testing.T) {
	if AppArmor() {
		t.Log("this kernel has AppArmor, and no such profile")
	}
	cfg := sh(t, "echo RAN")
	cfg.Spec.Process.ApparmorProfile = "no-such-profile"
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cfg.Stdout = w
	c, err := Create(cfg)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err == nil || !strings.Contains(err.Error(), "enter the AppArmor profile no-such-profile") {
		t.Errorf("it starts with %v", err)
	}
	c.Discard()
	if n, _ := r.Read(make([]byte, 9)); n > 0 {
		t.Error("it has run")
	}
}
