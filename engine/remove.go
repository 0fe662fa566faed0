package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"compose/engine/runtime"
	"compose/internal/fault"
	"compose/internal/filelock"
)

// RemoveOptions say what goes with a container.
type RemoveOptions struct {
	Volumes bool // its anonymous volumes too
	Ended   bool // it does not run, and Ended has given back what its last run had
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
	return e.finish(ctx, c)
}

func (e *Engine) finish(ctx context.Context, c *Container) error {
	if err := e.disband(c); err != nil {
		return err
	}
	if c.ownNetwork() { // also where it has left its last network since it began
		return e.networks.Release(ctx, c.ID)
	}
	return nil
}

// disband ends what is left of a container's processes and deletes its cgroup.
func (e *Engine) disband(c *Container) error {
	if c.Spec.Runtime != "" {
		if other, err := e.externalRuntime(c); err == nil && other != nil {
			if err := other.Delete(); err != nil {
				return err
			}
		}
	}
	if err := runtime.DeleteCgroup(e.cgroupPath(c)); err != nil {
		return err
	}
	fault.Point("finish: cgroup deleted")
	return nil
}

// Ended is Finish for whoever has looked after the run and knows its network
// side, which need not be looked for.
func (e *Engine) Ended(ctx context.Context, c *Container, r *Started) error {
	if r.Sandbox == nil {
		return e.finish(ctx, c)
	}
	if err := r.Sandbox.Close(ctx); err != nil {
		return errors.Join(fmt.Errorf("give its network back: %w", err), e.finish(ctx, c))
	}
	fault.Point("finish: network given back")
	return e.disband(c)
}

// Unfinished are those of the containers that hold what one has only while it
// runs. Where one does not run all who knew of its last start died with it.
func (e *Engine) Unfinished(list []*Container) ([]*Container, error) {
	holders, err := e.networks.Holders()
	if err != nil {
		return nil, err
	}
	var out []*Container
	for _, c := range list {
		if holders[c.ID] || runtime.HasCgroup(e.cgroupPath(c)) {
			out = append(out, c)
		}
	}
	return out, nil
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
	if !opts.Ended {
		if s, err := e.State(id); err == nil && (s.Status == Running || s.Status == Paused) {
			return fmt.Errorf("cannot remove container %q: container is running: stop the container before removing or force remove", c.Spec.Name)
		}
		if err := e.finish(ctx, c); err != nil {
			return err
		}
	}
	// Out of sight at once; what follows may be interrupted and swept later.
	lock, err := filelock.Shared(filepath.Join(e.roots.Containers(), ".lock"))
	if err != nil {
		return err
	}
	defer lock.Unlock()
	trash := e.trashDir(id, opts)
	switch err := os.Rename(e.dir(id), trash); {
	case err == nil:
		e.Happened(c, "destroy", nil)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	fault.Point("remove: out of sight")
	if err := e.clear(ctx, c, trash, opts.Volumes); err != nil {
		return fmt.Errorf("clear away what container %s has left: %w", c.Spec.Name, err)
	}
	return nil
}

// removeAnonymous removes a container's volumes that have no name, but for
// those that another container has taken over or shares (volumes_from).
func (e *Engine) removeAnonymous(ctx context.Context, c *Container) error {
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
		users, err := e.VolumeUsers(ctx, v.Name)
		if err != nil {
			return err
		}
		if len(users) > 0 {
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

// ImageUsers names the containers that were made from an image or mount it.
func (e *Engine) ImageUsers(ctx context.Context, imageID string) ([]string, error) {
	return e.users(ctx, func(c *Container) bool {
		return c.ImageID == imageID || slices.ContainsFunc(c.Spec.Mounts, func(m Mount) bool { return m.Type == "image" && m.ImageID == imageID })
	})
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
