package engine

import (
	"os"
	"path/filepath"
	"testing"

	"compose/internal/statefile"
)

// TestNextState writes the state that was expected and another one, also where what
// was ready has been swept away, and leaves nothing beside them.
func TestNextState(t *testing.T) {
	e := newEngine(t)
	const id = "0123456789abcdef"
	dir := filepath.Dir(e.statePath(id))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	expected := State{Status: Exited, ExitCode: 7}
	for name, c := range map[string]struct {
		write State
		sweep bool
	}{
		"as expected":    {expected, false},
		"something else": {State{Status: Exited, ExitCode: 8}, false},
		"swept away":     {expected, true},
	} {
		next := e.NextState(id, expected)
		if c.sweep {
			<-next.done
			statefile.Sweep(dir)
		}
		if err := next.Write(&c.write); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s, err := e.State(id); err != nil || s.ExitCode != c.write.ExitCode {
			t.Errorf("%s: the state is %+v, %v", name, s, err)
		}
	}
	e.NextState(id, expected).Drop()
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("beside the state lie %v, %v", list, err)
	}
}
