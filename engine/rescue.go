package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"compose/engine/runtime"
	"compose/internal/procstat"
	"compose/internal/statefile"
)

// StateOnRecord is the state as it was written last; State corrects what is no
// longer true. The error matches fs.ErrNotExist where there is none.
func (e *Engine) StateOnRecord(id string) (*State, error) {
	s := &State{Version: formatVersion, Status: Created}
	err := statefile.ReadVersioned(e.statePath(id), s, &s.Version, formatVersion)
	var damaged *statefile.CorruptError
	if errors.As(err, &damaged) {
		return e.rescueState(id, damaged)
	}
	return s, err
}

// rescueState writes the state of a container anew whose file is damaged, from
// what the kernel says. Its supervisor, where one lives, knows more, and writes
// that with the next change.
func (e *Engine) rescueState(id string, damaged *statefile.CorruptError) (*State, error) {
	c, err := e.read(id)
	if err != nil {
		return nil, damaged
	}
	pids, err := runtime.Pids(e.cgroupPath(c))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w; and whether the container runs is not known: %w", damaged, err)
	}
	s := &State{Version: formatVersion, Status: Exited, ExitCode: 255, FinishedAt: time.Now().UTC()}
	for _, pid := range pids {
		// The container's first process is the one that has run for longest.
		if ticks := runtime.StartTicks(pid); ticks != 0 && (s.PID == 0 || ticks < s.PIDStart) {
			s.Status, s.PID, s.PIDStart, s.ExitCode, s.FinishedAt = Running, pid, ticks, 0, time.Time{}
			s.StartedAt = time.Now().UTC().Add(-procstat.Age(ticks))
		}
	}
	if s.Status == Running && c.Spec.Health != nil && len(c.Spec.Health.Test) > 0 && c.Spec.Health.Test[0] != "NONE" {
		s.Health = &Health{Status: "starting"}
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	if err := damaged.Replace(data); err != nil {
		return s, nil // somebody else just does, or nothing can be written: as true as before
	}
	fmt.Fprintf(os.Stderr, "state file %s was damaged (%v): it is %s now, and container %s is taken to be %s\n",
		damaged.Path, damaged.Err, filepath.Base(damaged.Aside), c.Spec.Name, s.Status)
	return s, nil
}
