package supervisor

import (
	"testing"

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
