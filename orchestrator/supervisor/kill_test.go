package supervisor

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"compose/engine"
)

// TestKillWaits kills containers: what is on disk when the request has been
// answered is that they have ended, whatever that had to wait for.
func TestKillWaits(t *testing.T) {
	h := newHost(t)
	for range 5 {
		// A lot of output is still to be logged when it ends.
		id := h.container("busy", "while :; do echo a line of its output; done", nil)
		h.start(id)
		if err := h.client.Kill(t.Context(), id, "SIGKILL"); err != nil {
			t.Fatal(err)
		}
		state, err := h.engine.State(id)
		if err != nil {
			t.Fatal(err)
		}
		if state.Status != engine.Exited || state.ExitCode != 137 || state.PID != 0 {
			t.Errorf("after the kill: %+v", state)
		}
		if err := h.client.Remove(t.Context(), id, false, false); err != nil {
			t.Error(err)
		}
	}
}

// TestStartOfOneThatRestarts starts a container that its restart policy is about
// to start: it is counted as running, and its restarts go on being counted.
func TestStartOfOneThatRestarts(t *testing.T) {
	h := newHost(t)
	id := h.container("crasher", "exit 5", func(s *engine.ContainerSpec) { s.Restart = engine.RestartPolicy{Name: "always"} })
	h.start(id)
	for restarts := 1; restarts < 4; {
		h.soon("it waits for a restart", func() bool {
			state, err := h.engine.State(id)
			if err != nil || state.Status != engine.Restarting || state.RestartCount < restarts {
				return false
			}
			restarts = state.RestartCount
			return true
		})
		h.start(id)
		state, err := h.engine.State(id)
		if err != nil || state.RestartCount < restarts {
			t.Fatalf("after %d restarts: %+v, %v", restarts, state, err)
		}
		restarts++
	}
}

// TestSignalAfterEnd sends a signal to a run that has just ended by itself, whose
// descriptor is closed: there is nothing to do, and nothing wrong.
func TestSignalAfterEnd(t *testing.T) {
	pidfd, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	pidfd.Close()
	c := newContainer(&supervisor{engine: &engine.Engine{}}, &engine.Container{}, &engine.State{Status: engine.Exited})
	if err := c.signal(&run{Started: &engine.Started{PIDFD: pidfd}}, unix.SIGKILL); err != nil {
		t.Error(err)
	}
}

// TestFailedRestartOnRecord looks at what a supervisor would leave that is killed
// when a restart has just failed: the next one goes on trying.
func TestFailedRestartOnRecord(t *testing.T) {
	h := newHost(t)
	for policy, want := range map[string]engine.Status{"always": engine.Restarting, "no": engine.Exited} {
		id := h.container(policy, "exit 5", func(s *engine.ContainerSpec) { s.Restart = engine.RestartPolicy{Name: policy} })
		cfg, err := h.engine.Container(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		c := newContainer(&supervisor{engine: h.engine}, cfg, &engine.State{Status: engine.Restarting})
		c.restarting = true
		_ = c.failed(unix.EAGAIN) // which it returns
		if state, err := h.engine.StateOnRecord(id); err != nil || state.Status != want {
			t.Errorf("%s: %+v, %v", policy, state, err)
		}
	}
}
