package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine"
	"compose/orchestrator/keeper"
	"compose/orchestrator/supervisor/client"
)

// checkNumbers sees that the log holds the numbers up to last, each once.
func checkNumbers(t *testing.T, log string, last int) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(strings.ReplaceAll(log, "\r\n", "\n"), "\n"), "\n")
	wrong := 0
	for i, line := range lines {
		if line != fmt.Sprint(i+1) {
			t.Errorf("line %d is %q", i+1, line)
			if wrong++; wrong == 5 {
				break
			}
		}
	}
	if len(lines) != last {
		t.Errorf("%d lines, want %d", len(lines), last)
	}
}

// TestKilled ends supervisors and keepers in turn while a container writes as
// fast as it can: no byte of its output and no exit code may be lost.
func TestKilled(t *testing.T) {
	const last = 400000
	for name, tty := range map[string]bool{"pipe": false, "terminal": true} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			// Its end comes after the kills, however slow these are: where nothing
			// runs any more nobody is left to be killed.
			line := fmt.Sprintf("trap 'exit 7' TERM; i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; done; while :; do sleep 0.1; done", last)
			id := h.container("counter", line, func(s *engine.ContainerSpec) { s.TTY = tty })
			h.start(id)
			for i := range 8 {
				time.Sleep(time.Duration(20+7*i) * time.Millisecond)
				if i%4 == 3 {
					h.kill(keeper.Name)
				} else {
					h.kill(keeper.SupervisorName)
				}
			}
			h.soon("all is in its log", func() bool { return strings.HasPrefix(h.log(id, 1), fmt.Sprint(last)) })
			ample := patience
			if err := h.client.Stop(t.Context(), id, "", &ample); err != nil {
				t.Fatal(err)
			}
			if code := h.wait(id); code != 7 {
				t.Errorf("exit code %d", code)
			}
			checkNumbers(t, h.log(id, -1), last)
		})
	}
}

// TestOnePair lets many clients look for the supervisor while it is killed
// over and over: they wait for the keeper's next one and never start a second
// pair, which would adopt the same containers and read the same output.
func TestOnePair(t *testing.T) {
	h := newHost(t)
	id := h.container("sleeper", "exec sleep 1000", nil)
	h.start(id)
	over := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				c, err := client.Connect(t.Context(), h.roots, project)
				if err != nil {
					t.Errorf("connect: %v", err)
					return
				}
				c.Close()
			}
		})
	}
	// No more than a client puts up with that meets all of them.
	for range 7 {
		h.kill(keeper.SupervisorName)
	}
	for range 2 {
		h.kill(keeper.Name)
	}
	close(over)
	clients.Wait()
	if keepers, supervisors := h.processes(keeper.Name), h.processes(keeper.SupervisorName); len(keepers) != 1 || len(supervisors) != 1 {
		t.Errorf("keepers %v, supervisors %v: want one of each", keepers, supervisors)
	}
}

// TestHeldAgain kills everybody: the next keeper holds again what must outlive
// the next supervisor. By the pidfd the kernel tells how a container has ended
// whose parent none of us is.
func TestHeldAgain(t *testing.T) {
	h := newHost(t)
	id := h.container("sleeper", "exec sleep 1000", nil)
	h.start(id)
	state, err := h.engine.State(id)
	if err != nil {
		t.Fatal(err)
	}
	netns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", state.PID))
	if err != nil {
		t.Fatal(err)
	}
	all := append(h.processes(keeper.SupervisorName), h.processes(keeper.Name)...)
	for _, sig := range []unix.Signal{unix.SIGSTOP, unix.SIGKILL} { // one that is left brings the other back
		for _, pid := range all {
			if err := unix.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.soon("nobody looks after it", func() bool {
		return len(h.processes(keeper.Name))+len(h.processes(keeper.SupervisorName)) == 0
	})
	if _, err := h.client.Info(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := fmt.Sprintf("/proc/%d", h.processes(keeper.Name)[0])
	h.soon("the keeper holds its process and its network", func() bool {
		var process, network bool
		fds, _ := filepath.Glob(dir + "/fd/*")
		for _, fd := range fds {
			target, _ := os.Readlink(fd) // it may be closed
			info, _ := os.ReadFile(filepath.Join(dir, "fdinfo", filepath.Base(fd)))
			network = network || target == netns
			process = process || strings.Contains(string(info), fmt.Sprintf("\nPid:\t%d\n", state.PID))
		}
		return process && network
	})
}
