package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine"
	"compose/internal/filelock"
	"compose/orchestrator/keeper"
	"compose/orchestrator/supervisor/api"
	"compose/orchestrator/supervisor/client"
)

// TestHangs has a supervisor that is stopped, then a keeper, then somebody else
// with their lock: the client does not wait without end, and does as it says
// what is in the way of others is out of it.
func TestHangs(t *testing.T) {
	h := newHost(t)
	id := h.container("sleeper", "exec sleep 1000", nil)
	h.start(id)
	before, err := h.engine.State(id)
	if err != nil {
		t.Fatal(err)
	}
	whole := client.Patience
	defer func() { client.Patience = whole }()
	refused := func(says string) {
		t.Helper()
		client.Patience = 200 * time.Millisecond
		_, err := client.Connect(t.Context(), h.roots, project)
		client.Patience = whole
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want one line with %s", err, says)
		}
	}
	send := func(pid int, sig unix.Signal) {
		t.Helper()
		if err := unix.Kill(pid, sig); err != nil {
			t.Fatal(err)
		}
	}
	answers := func() {
		t.Helper()
		c, err := client.Connect(t.Context(), h.roots, project)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}

	// Where the machine is busy, a thread goes on for a while.
	stop := func(pid int) {
		t.Helper()
		send(pid, unix.SIGSTOP)
		h.soon("it has stopped", func() bool {
			threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
			return !slices.ContainsFunc(threads, func(path string) bool {
				stat, _ := os.ReadFile(path)
				return !strings.Contains(string(stat), ") T ")
			})
		})
	}

	supervisor := h.processes(keeper.SupervisorName)[0]
	stop(supervisor)
	refused(fmt.Sprintf("kill -9 %d", supervisor))
	send(supervisor, unix.SIGKILL)
	answers()

	theKeeper := h.processes(keeper.Name)[0]
	stop(theKeeper)
	send(h.processes(keeper.SupervisorName)[0], unix.SIGKILL)
	h.soon("there is no supervisor", func() bool { return len(h.processes(keeper.SupervisorName)) == 0 })
	refused(fmt.Sprintf("kill -9 %d", theKeeper))
	send(theKeeper, unix.SIGKILL)
	answers()

	after, err := h.engine.State(id)
	if err != nil || after.Status != engine.Running || after.PID != before.PID {
		t.Errorf("the container was %+v, is %+v, %v", before, after, err)
	}
	if err := h.client.Remove(t.Context(), id, true, false); err != nil {
		t.Fatal(err)
	}
	h.client.Close()
	h.soon("supervisor and keeper have left", func() bool {
		return len(h.processes(keeper.Name))+len(h.processes(keeper.SupervisorName)) == 0
	})
	lock, err := filelock.Exclusive(api.SpawnLock(h.roots, project))
	if err != nil {
		t.Fatal(err)
	}
	refused(api.SpawnLock(h.roots, project))
	lock.Unlock()
	answers()
}
