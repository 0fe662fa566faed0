package supervisor

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine"
	"compose/orchestrator/keeper"
	"compose/orchestrator/supervisor/api"
)

// TestForgetsTheGone removes one container after another.
func TestForgetsTheGone(t *testing.T) {
	s := &supervisor{containers: map[string]*container{"new": nil}, gone: map[string]goneCode{
		"old": {1, time.Now().Add(-goneFor)}, "recent": {2, time.Now()},
	}}
	s.forget("new", 3)
	if len(s.containers) != 0 {
		t.Error("the container is still there")
	}
	for id, want := range map[string]int{"recent": 2, "new": 3} {
		if code, ok := s.exitCodeOf(id); code != want || !ok {
			t.Errorf("exit code of %s: %d, %v", id, code, ok)
		}
	}
	if len(s.gone) != 2 {
		t.Errorf("it keeps %v", s.gone)
	}
}

// TestCodeOutlivesAnIdleSupervisor has the supervisor killed below a container
// that goes by itself. The next one has nothing else to do: it removes the
// container and leaves, before who waits for the container comes to it.
func TestCodeOutlivesAnIdleSupervisor(t *testing.T) {
	h := newHost(t)
	leaves := func() {
		t.Helper()
		h.client.Close()
		h.soon("the supervisor leaves", func() bool {
			if conn, err := net.Dial("unix", api.Socket(h.roots, project)); err == nil {
				conn.Close() // somebody who looks whether it is there
			}
			return len(h.processes(keeper.Name)) == 0
		})
	}
	own := func(s *engine.ContainerSpec) { s.AutoRemove = true }
	id := h.container("own", "sleep 1000", own)
	h.start(id)
	h.kill(keeper.SupervisorName)
	state, err := h.engine.State(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(state.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	leaves()
	if code := h.wait(id); code != 137 {
		t.Errorf("it ended with %d", code)
	}
	leaves()

	// Where nobody was killed it leaves nothing.
	if err := os.RemoveAll(filepath.Join(h.roots.RunProject(project), "gone")); err != nil {
		t.Fatal(err)
	}
	id = h.container("other", "exit 3", own)
	h.start(id)
	if code := h.wait(id); code != 3 {
		t.Errorf("the other ended with %d", code)
	}
	leaves()
	if left, err := os.ReadDir(filepath.Join(h.roots.RunProject(project), "gone")); err == nil {
		t.Errorf("left: %v", left)
	}
}
