package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"compose/engine/runtime"
	"compose/engine/runtime/cgroup"
	"compose/internal/filelock"
)

// RemoveOptions say what goes with a container.
type RemoveOptions struct {
	Volumes bool // its anonymous volumes too
}

// Finish gives back what a container needs only while it runs: its cgroup and
// the records of its network side. It may be called again.
func (e *Engine) Finish(ctx context.Context, id string) error {
	c, err := e.read(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := runtime.DeleteCgroup(e.cgroupPath(c)); err != nil {
		return err
	}
	if len(c.Spec.Networks) > 0 {
		if err := e.networks.Release(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// RemoveContainer takes away a container that does not run. One that is gone
// already is no error.
func (e *Engine) RemoveContainer(ctx context.Context, id string, opts RemoveOptions) error {
	c, err := e.read(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if s, err := e.State(id); err == nil && (s.Status == Running || s.Status == Paused) {
		return fmt.Errorf("cannot remove container %q: container is running: stop the container before removing or force remove", c.Spec.Name)
	}
	if err := e.Finish(ctx, id); err != nil {
		return err
	}
	// Out of sight at once; what follows may be interrupted and swept later.
	lock, err := filelock.Shared(filepath.Join(e.roots.Containers(), ".lock"))
	if err != nil {
		return err
	}
	defer lock.Unlock()
	trash := filepath.Join(e.roots.Containers(), ".trash-"+id)
	if err := os.Rename(e.dir(id), trash); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := e.releaseName(c.Spec.Name, id); err != nil {
		return err
	}
	if opts.Volumes {
		if err := e.removeAnonymous(c); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(trash); err != nil {
		return fmt.Errorf("delete the files of container %s: %w", c.Spec.Name, err)
	}
	return cgroup.DeleteParent(e.cgroupParent())
}

func (e *Engine) removeAnonymous(c *Container) error {
	for _, m := range c.Spec.Mounts {
		if m.Type != "volume" {
			continue
		}
		v, err := e.volumes.Get(m.Source)
		if err != nil {
			continue
		}
		if _, ok := v.Labels[AnonymousLabel]; !ok {
			continue
		}
		if err := e.volumes.Remove(v.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// VolumeUsers names the containers that mount a volume.
func (e *Engine) VolumeUsers(ctx context.Context, name string) ([]string, error) {
	return e.users(ctx, func(c *Container) bool {
		for _, m := range c.Spec.Mounts {
			if m.Type == "volume" && m.Source == name {
				return true
			}
		}
		return false
	})
}

// ImageUsers names the containers that were made from an image.
func (e *Engine) ImageUsers(ctx context.Context, imageID string) ([]string, error) {
	return e.users(ctx, func(c *Container) bool { return c.ImageID == imageID })
}

func (e *Engine) users(ctx context.Context, uses func(*Container) bool) ([]string, error) {
	list, err := e.Containers(ctx, Filter{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range list {
		if uses(c) {
			names = append(names, c.ID[:12])
		}
	}
	return names, nil
}
