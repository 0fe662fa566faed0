package supervisor

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// goneFor is for how long the exit code of a container that is gone is kept.
const goneFor = time.Minute

// goneCode is how a container had ended that was removed then.
type goneCode struct {
	code int
	at   time.Time
}

// forget drops a removed container, and keeps its exit code for those who
// have yet to ask. Codes that are old enough go.
func (s *supervisor) forget(id string, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.containers, id)
	now := time.Now()
	maps.DeleteFunc(s.gone, func(_ string, g goneCode) bool { return now.Sub(g.at) >= goneFor })
	s.gone[id] = goneCode{code, now}
}

// goneDir is where the exit codes of containers lie that were removed when they
// ended: the supervisor may die between that and its answer to whoever waits.
func (s *supervisor) goneDir() string {
	return filepath.Join(s.roots.RunProject(s.project), "gone")
}

// leaveCode keeps the exit code of a container that is about to be removed.
func (s *supervisor) leaveCode(id string, code int) {
	s.dropCodes(goneFor)
	err := os.MkdirAll(s.goneDir(), 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(s.goneDir(), id), []byte(strconv.Itoa(code)), 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "supervisor: keep an exit code:", err)
	}
}

// dropCodes forgets the exit codes that are older than that.
func (s *supervisor) dropCodes(age time.Duration) {
	entries, _ := os.ReadDir(s.goneDir()) // as a rule there is none
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) >= age {
			_ = os.Remove(filepath.Join(s.goneDir(), e.Name())) // tried again
		}
	}
}

// dropCodesAtLast is for when we leave. Who waited for a container that we have
// started is connected to us until that is answered, and so we do not leave. Who
// was connected to one that was killed may not have come yet: what we have taken
// over from that one, or found, stays for its time, and goes with those after us.
func (s *supervisor) dropCodesAtLast() {
	age := time.Duration(0)
	if s.follows {
		age = goneFor
	}
	s.dropCodes(age)
	_ = os.Remove(s.goneDir()) // where it is empty
}

// codesLeft says whether one before us has left exit codes.
func (s *supervisor) codesLeft() bool {
	_, err := os.Stat(s.goneDir())
	return err == nil
}

// exitCodeOf is that of a container that was removed under our eyes, or those
// of the last supervisor.
func (s *supervisor) exitCodeOf(id string) (int, bool) {
	s.mu.Lock()
	g, ok := s.gone[id]
	s.mu.Unlock()
	if ok {
		return g.code, true
	}
	data, err := os.ReadFile(filepath.Join(s.goneDir(), filepath.Base(id)))
	if err != nil {
		return 0, false
	}
	code, err := strconv.Atoi(string(data))
	return code, err == nil
}
