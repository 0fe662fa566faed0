package procstat

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// TestFields reads of a process whose name has what is around it.
func TestFields(t *testing.T) {
	began := time.Now()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), ") Z 1 (")
	if err := os.Symlink(sleep, path); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f := Fields(cmd.Process.Pid)
	if len(f) <= Exit || f[State] == "Z" || f[Parent] != strconv.Itoa(os.Getpid()) || f[Threads] != "1" {
		t.Fatalf("%q", f)
	}
	start, err := strconv.ParseUint(f[Start], 10, 64)
	if age := Age(start); err != nil || age > time.Since(began)+20*time.Millisecond {
		t.Errorf("it is %s old, %v", age, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if f := Fields(cmd.Process.Pid); len(f) != 0 {
		t.Errorf("of a process that is gone: %q", f)
	}
}
