package orchestrator

import (
	"errors"
	"path/filepath"
	"sync"

	"compose/internal/filelock"
	"compose/internal/roots"
)

// projectLock lets one command at a time change a project. It is taken with
// flock, so that a killed command holds up no one.
type projectLock struct {
	path string
	wait func() // called once before a wait for another command

	mu   sync.Mutex
	held *filelock.Lock
}

func newProjectLock(r roots.Roots, project string, wait func()) *projectLock {
	return &projectLock{path: filepath.Join(r.RunProject(project), "command.lock"), wait: wait}
}

func (l *projectLock) lock() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != nil {
		return nil
	}
	held, err := filelock.TryExclusive(l.path)
	if errors.Is(err, filelock.ErrHeld) {
		if l.wait != nil {
			l.wait()
			l.wait = nil
		}
		held, err = filelock.Exclusive(l.path)
	}
	l.held = held
	return err
}

func (l *projectLock) unlock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held.Unlock()
	l.held = nil
}
