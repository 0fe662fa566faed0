package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"compose/engine/runtime/cgroup"
	"compose/internal/fault"
	"compose/internal/filelock"
	"compose/internal/statefile"
)

// What is being made and what is going has a name of its own beside the
// containers: ".new-<id>", ".trash-<id>", and ".trash-v-<id>" where the
// anonymous volumes go too.
const (
	newPrefix     = ".new-"
	trashPrefix   = ".trash-"
	volumesPrefix = trashPrefix + "v-"
)

func (e *Engine) trashDir(id string, opts RemoveOptions) string {
	prefix := trashPrefix
	if opts.Volumes {
		prefix = volumesPrefix
	}
	return filepath.Join(e.roots.Containers(), prefix+id)
}

// clear deletes what is left of a container that is out of sight, in dir.
func (e *Engine) clear(ctx context.Context, c *Container, dir string, withVolumes bool) error {
	if err := e.releaseName(c.Spec.Name, c.ID, dir); err != nil {
		return err
	}
	fault.Point("remove: name released")
	if withVolumes {
		if err := e.removeAnonymous(ctx, c); err != nil {
			return err
		}
	}
	fault.Point("remove: volumes removed")
	for _, n := range c.Spec.Networks {
		if err := e.dropDefaultNetwork(ctx, n.Network); err != nil {
			return err
		}
	}
	fault.Point("remove: network removed")
	if err := cgroup.DeleteParent(e.cgroupParent()); err != nil {
		return err
	}
	// The record is the last to go: it says all of the above.
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != "config.json" {
			if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	fault.Point("remove: files deleted")
	return os.RemoveAll(dir)
}

// Sweep brings to an end what interrupted creations and removals have left. It
// does nothing while a container is being made or removed.
func (e *Engine) Sweep(ctx context.Context) error {
	entries, err := os.ReadDir(e.roots.Containers())
	if err != nil {
		return nil // no container was ever made
	}
	var stale []string
	whole := 0
	for _, entry := range entries {
		switch {
		case strings.HasPrefix(entry.Name(), newPrefix), strings.HasPrefix(entry.Name(), trashPrefix):
			stale = append(stale, entry.Name())
		case !strings.HasPrefix(entry.Name(), "."):
			whole++
		}
	}
	names, _ := os.ReadDir(e.namePath("")) // without it there are none
	if len(stale) == 0 && len(names) <= whole {
		return nil
	}
	lock, err := filelock.TryExclusive(filepath.Join(e.roots.Containers(), ".lock"))
	if errors.Is(err, filelock.ErrHeld) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Unlock()
	for _, name := range stale {
		dir := filepath.Join(e.roots.Containers(), name)
		var c Container
		if err := statefile.ReadJSON(filepath.Join(dir, "config.json"), &c); err != nil {
			err = os.RemoveAll(dir) // there was nothing to it yet, or is not any more
			if err != nil {
				return err
			}
			continue
		}
		if err := e.clear(ctx, &c, dir, !strings.HasPrefix(name, trashPrefix) || strings.HasPrefix(name, volumesPrefix)); err != nil {
			return err
		}
	}
	return e.sweepNames()
}
