package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asleep says whether a keeper has not begun to be a Go program yet.
func asleep(t testing.TB, pid int) bool {
	t.Helper()
	return field(t, fmt.Sprintf("/proc/%d/status", pid), "Threads:") == 1
}

// TestKeeperSleeps has a keeper asleep as long as nothing is asked of it, whoever
// else signals it, and awake when its supervisor is killed.
func TestKeeperSleeps(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("p", "compose.yaml", "services:\n  web:\n    image: busybox\n    command: sh -c 'echo up; read x; echo got $$x'\n    stdin_open: true\n")
	h.in(dir, "up", "-d").ok()
	h.in(dir, "exec", "-T", "web", "true").ok()
	keeper, supervisor := ourProcess(t, "compose-keeper", h.root, 0), ourProcess(t, "compose-supervisor", h.root, 0)
	if kib := field(t, fmt.Sprintf("/proc/%d/status", keeper), "VmRSS:"); !asleep(t, keeper) || kib > 512 {
		t.Errorf("the keeper is awake, with %d KiB", kib)
	}
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGSTOP, syscall.SIGCONT} {
		if err := syscall.Kill(keeper, s); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(100 * time.Millisecond)
	if !asleep(t, keeper) {
		t.Error("signals have woken it")
	}
	pid := h.state("p-web-1").Pid
	if err := syscall.Kill(supervisor, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ourProcess(t, "compose-supervisor", h.root, supervisor)
	if ourProcess(t, "compose-keeper", h.root, 0) != keeper || asleep(t, keeper) || h.state("p-web-1").Pid != pid {
		t.Error("the keeper did not wake up, or the container is another")
	}
	// Its descriptors have come over: the input still has an end to write to.
	h.run(time.Minute, dir, strings.NewReader("word\n"), "attach", "web").ok()
	eventually(t, "the input", func() error {
		if out := h.in(dir, "logs", "--no-log-prefix", "web").ok().stdout; out != "up\ngot word\n" {
			return fmt.Errorf("the log is %q", out)
		}
		return nil
	})
	h.in(dir, "down", "-t", "0").ok()
}

// TestKeeperWakes has it awake where it must not be late: for a port, which is free
// once its container has ended, and for processes that it inherits.
func TestKeeperWakes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	port := unusedPort()
	dir := h.project("p", "compose.yaml", fmt.Sprintf(`services:
  web:
    image: busybox
    command: sleep 1000
    ports: ["127.0.0.1:%s:80"]
  idle: {image: busybox, command: sleep 1000}
`, port))
	h.in(dir, "up", "-d").ok()
	for range 3 {
		h.in(dir, "stop", "-t", "0", "web").ok()
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal("the port of a stopped container: ", err)
		}
		l.Close()
		h.in(dir, "start", "web").ok()
	}
	h.in(dir, "down", "-t", "0").ok()

	dir = h.project("orphans", "compose.yaml", "services:\n  web:\n    image: busybox\n    pid: host\n    command: sh -c '(sleep 0.2 &); echo $$$$; exec sleep 1000'\n")
	h.in(dir, "up", "-d").ok()
	keeper := ourProcess(t, "compose-keeper", h.root, 0)
	eventually(t, "an orphan is reaped", func() error {
		if asleep(t, keeper) {
			return fmt.Errorf("the keeper sleeps")
		}
		for _, child := range children(keeper) {
			stat, _ := os.ReadFile(filepath.Join("/proc", child, "stat"))
			if strings.Contains(string(stat), "(sleep) ") {
				return fmt.Errorf("%s", stat)
			}
		}
		return nil
	})
	h.in(dir, "down", "-t", "0").ok()
}

func children(pid int) []string {
	list, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	return strings.Fields(string(list))
}
