package supervisor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"compose/engine"
	"compose/internal/filelock"
	"compose/internal/roots"
	"compose/orchestrator/keeper"
	"compose/orchestrator/supervisor/api"
)

// held says how many roots of containers the supervisor keeps in use.
func (h *host) held() (n int) {
	for _, pid := range h.processes(keeper.SupervisorName) {
		fds, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
		for _, fd := range fds {
			if target, err := os.Readlink(fd); err == nil && target == "/" {
				n++
			}
		}
	}
	return n
}

// TestStopForRemoval stops containers that are to be removed: their end comes
// to the disk only where the removal does not.
func TestStopForRemoval(t *testing.T) {
	h := newHost(t)
	at := time.Duration(0)
	stop := func(id string) {
		t.Helper()
		began := time.Now()
		if err := h.client.StopForRemoval(t.Context(), id, &at); err != nil {
			t.Fatal(err)
		}
		state, err := h.engine.StateOnRecord(id)
		held := h.held()
		if time.Since(began) > time.Second {
			return // on a machine so slow the removal may have been given up already
		}
		if err != nil || state.Status != engine.Running || held != 1 {
			t.Errorf("after the stop: %+v, %v, %d roots are held", state, err, held)
		}
	}
	always := func(s *engine.ContainerSpec) { s.Restart = engine.RestartPolicy{Name: "always"} }

	id := h.container("removed", "echo a > /a; sleep 1000", always)
	h.start(id)
	stop(id)
	if err := h.client.Remove(t.Context(), id, false, false); err != nil {
		t.Fatal(err)
	}
	if _, err := h.engine.Container(t.Context(), id); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the removed container: %v", err)
	}
	h.soon("its root is let go", func() bool { return h.held() == 0 })

	id = h.container("kept", "test -e /a && exec sleep 1000; echo a > /a; exec sleep 1000", always)
	h.start(id)
	stop(id)
	h.soon("its end comes to the disk", func() bool {
		state, err := h.engine.StateOnRecord(id)
		return err == nil && state.Status == engine.Exited && state.StoppedByHand && state.ExitCode == 137
	})
	h.soon("its root is let go", func() bool { return h.held() == 0 })
	h.start(id)
	stop(id)
	h.start(id) // at once
	time.Sleep(1200 * time.Millisecond)
	h.soon("the root of the run before is let go", func() bool { return h.held() == 0 })
	if state, err := h.engine.State(id); err != nil || state.Status != engine.Running {
		t.Errorf("started again: %+v, %v", state, err)
	}

	// Who comes next knows that it was stopped by hand.
	stop(id)
	h.kill(keeper.SupervisorName)
	h.soon("its end comes to the disk", func() bool {
		state, err := h.engine.State(id)
		return err == nil && state.Status == engine.Exited && state.StoppedByHand && state.ExitCode == 137
	})
	if err := h.client.Remove(t.Context(), id, true, false); err != nil {
		t.Fatal(err)
	}
}

// TestForcedRemoval removes a container that runs, and one that goes by itself.
func TestForcedRemoval(t *testing.T) {
	h := newHost(t)
	id := h.container("forced", "sleep 1000", nil)
	h.start(id)
	if err := h.client.Remove(t.Context(), id, true, false); err != nil {
		t.Fatal(err)
	}
	h.soon("its root is let go", func() bool { return h.held() == 0 })
	own := h.container("own", "sleep 1000", func(s *engine.ContainerSpec) { s.AutoRemove = true })
	h.start(own)
	if h.held() != 1 {
		t.Errorf("%d roots are held while a container runs that is removed at its end", h.held())
	}
	if err := h.client.Kill(t.Context(), own, "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	if code := h.wait(own); code != 137 {
		t.Errorf("it ended with %d", code)
	}
	h.soon("nothing of them is left", func() bool {
		left, err := os.ReadDir(h.roots.Containers())
		for _, e := range left {
			if !strings.HasPrefix(e.Name(), ".") {
				return false
			}
		}
		return err == nil && h.held() == 0
	})
}

// TestUnmountsWait has the roots of containers that are removed one after the
// other kept until no more of them follow, or there is nothing else to do.
func TestUnmountsWait(t *testing.T) {
	open := func() *os.File {
		root, err := os.Open("/")
		if err != nil {
			t.Fatal(err)
		}
		return root
	}
	isOpen := func(f *os.File) bool { _, err := f.Stat(); return err == nil }
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := &supervisor{roots: roots.Roots{State: dir, Run: dir}, met: true, connections: 1, done: make(chan struct{})}
		a, b, c := open(), open(), open()
		s.unmount(a)
		time.Sleep(nextRemoval - 1)
		s.unmount(b)
		time.Sleep(nextRemoval - 1)
		s.leaveIfIdle()
		if !isOpen(a) || !isOpen(b) {
			t.Error("roots are let go while others may follow")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if isOpen(a) || isOpen(b) {
			t.Error("roots are kept")
		}
		s.unmount(c)
		lock, err := filelock.Exclusive(api.SpawnLock(s.roots, s.project)) // somebody is connecting: it stays
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Unlock()
		s.disconnected()
		if isOpen(c) {
			t.Error("a root is kept, and there is nothing else to do")
		}
	})
}
