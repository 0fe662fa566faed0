package runtime

import (
	"strings"
	"testing"

	// The test binary is the init of the containers that ask for one.
	_ "compose/engine/runtime/initproc"
)

// TestInitReapsAndPassesOn runs a shell below the built-in init: the shell is
// not PID 1, an orphan is reaped, and the exit code and a signal come through.
func TestInitReapsAndPassesOn(t *testing.T) {
	cfg := sh(t, `
echo pid $$
(sleep 0.1 & true)
sleep 0.5
grep -l '(sleep) Z' /proc/[0-9]*/stat || echo no zombie
trap 'echo got TERM; exit 7' TERM
kill -TERM 1
sleep 5 & wait`)
	cfg.Init = true
	text, status := output(t, cfg)
	for _, want := range []string{"no zombie", "got TERM"} {
		if !strings.Contains(text, want) {
			t.Errorf("inside does not show %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "pid 1\n") || status.ExitStatus() != 7 {
		t.Errorf("ended with %d:\n%s", status.ExitStatus(), text)
	}
}
