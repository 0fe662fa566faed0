package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"compose/engine/runtime"
	"compose/engine/runtime/cgroup"
	"compose/internal/filelock"
)

// A RUN step has a directory of its own below the run root, for its name
// files, and beside it a lock that its builder holds. A lock that nobody holds
// is that of a builder that was killed: its step's processes, cgroup and
// network are cleared away then.

func (e *Engine) stepsDir() string { return filepath.Join(e.roots.Run, "steps") }

// stepCgroup is the group of a step's processes; parent is the one above that
// the user asked for, or "".
func (e *Engine) stepCgroup(id, parent string) string {
	if parent == "" {
		return filepath.Join(e.cgroupParent(), stepName(id))
	}
	return filepath.Join(strings.Trim(filepath.Clean("/"+parent), "/"), e.cgroupParent()+"-"+stepName(id))
}

// stepParentFile names, in a step's directory, the group above its group, for
// whoever clears the step away.
const stepParentFile = "cgroup-parent"

func stepName(id string) string { return "build-" + id[:12] }

// claimStep makes the directory of a step. release takes it away.
func (e *Engine) claimStep(id string) (dir string, release func(), err error) {
	dir = filepath.Join(e.stepsDir(), id)
	var lock *filelock.Lock
	for {
		if lock, err = filelock.Exclusive(dir + ".lock"); err != nil {
			return "", nil, err
		}
		if _, err := os.Stat(dir + ".lock"); err == nil {
			break
		}
		lock.Unlock() // a sweep took it for a dead one's before we had it
	}
	release = func() {
		os.RemoveAll(dir)
		os.Remove(dir + ".lock")
		lock.Unlock()
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		release()
		return "", nil, err
	}
	return dir, release, nil
}

// SweepBuilds clears away what builders that were killed have left running.
func (e *Engine) SweepBuilds(ctx context.Context) error {
	list, err := os.ReadDir(e.stepsDir())
	if err != nil {
		return nil // no step has run since the host has
	}
	var failed []error
	for _, entry := range list {
		id, ok := strings.CutSuffix(entry.Name(), ".lock")
		if !ok || len(id) < 12 {
			continue
		}
		lock, err := filelock.TryExclusive(filepath.Join(e.stepsDir(), entry.Name()))
		if err != nil {
			continue // it runs
		}
		err = e.clearStep(ctx, id)
		if err == nil {
			os.RemoveAll(filepath.Join(e.stepsDir(), id))
			os.Remove(filepath.Join(e.stepsDir(), entry.Name()))
		}
		lock.Unlock()
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

func (e *Engine) clearStep(ctx context.Context, id string) error {
	parent, err := os.ReadFile(filepath.Join(e.stepsDir(), id, stepParentFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := runtime.DeleteCgroup(e.stepCgroup(id, string(parent))); err != nil {
		return err
	}
	if err := cgroup.DeleteParent(e.cgroupParent()); err != nil {
		return err
	}
	if err := e.networks.Release(ctx, id); err != nil {
		return err
	}
	return e.dropBuildNetwork(ctx)
}
