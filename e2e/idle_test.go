package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestIdle looks at a stack in which nothing happens: its supervisor and keeper
// sleep through, and have little in memory.
func TestIdle(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("quiet", "compose.yml", "services:\n  web:\n    image: busybox\n    command: sleep 1000\n    scale: 5\n")
	h.in(dir, "up", "-d").ok()
	ours := []int{ourProcess(t, "compose-keeper", h.root, 0), ourProcess(t, "compose-supervisor", h.root, 0)}
	// What the command's end brings about comes first.
	eventually(t, "three seconds without a wake-up, in 25 MiB", func() error {
		before := wakeUps(t, ours)
		time.Sleep(3 * time.Second)
		if n := wakeUps(t, ours) - before; n != 0 {
			return fmt.Errorf("%d wake-ups in three seconds", n)
		}
		if kib := pss(t, ours); kib == 0 || kib > 25<<10 {
			return fmt.Errorf("%d KiB", kib)
		}
		return nil
	})
	h.in(dir, "exec", "-T", "web", "true").ok()
	h.in(dir, "down", "-t", "0").ok()
}

// TestLongCommand has a command that lives on give back what it began with.
func TestLongCommand(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("p", "compose.yml", "services:\n  web:\n    image: busybox\n    command: sh -c 'echo up; sleep 1000'\n")
	up := h.begins(dir, "up")
	up.says("up")
	status := fmt.Sprintf("/proc/%d/status", up.pid)
	if kib := field(t, status, "RssFile:"); kib < 10<<10 {
		t.Errorf("it has not had its binary mapped when it began: %d KiB", kib)
	}
	eventually(t, "a small command", func() error {
		if file, own := field(t, status, "RssFile:"), field(t, status, "RssAnon:"); file > 10<<10 || own > 10<<10 {
			return fmt.Errorf("%d KiB of files, %d of its own", file, own)
		}
		return nil
	})
	up.interrupted(130)
	h.in(dir, "down", "-t", "0").ok()
}

// wakeUps counts how often threads of processes went to sleep so far.
func wakeUps(t *testing.T, pids []int) (n int) {
	t.Helper()
	for _, pid := range pids {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		for _, thread := range threads {
			n += field(t, thread, "voluntary_ctxt_switches:")
		}
	}
	return n
}

// pss is the proportional set size of processes, in KiB.
func pss(t *testing.T, pids []int) (n int) {
	t.Helper()
	for _, pid := range pids {
		n += field(t, fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:")
	}
	return n
}

// field is the number behind a name in a file of /proc.
func field(t testing.TB, path, name string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		return 0 // a thread may just have ended
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			n, _ := strconv.Atoi(f[1])
			return n
		}
	}
	t.Fatalf("%s has no %s", path, name)
	return 0
}
