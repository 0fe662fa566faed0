package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine/image"
	"compose/engine/runtime"
	"compose/internal/fault"
	"compose/internal/filelock"
	"compose/internal/objectname"
	"compose/internal/statefile"
	"compose/internal/trace"
	"compose/volumes"
)

// AnonymousLabel marks a volume that was made for one container.
const AnonymousLabel = "com.docker.volume.anonymous"

func (e *Engine) newDir(id string) string {
	return filepath.Join(e.roots.Containers(), ".new-"+id)
}

// CreateContainer makes a container that does not run yet: its record, its
// writable layer and its volumes, those filled from the image. It exists, with
// its name, as soon as its directory has its final name, and not before.
func (e *Engine) CreateContainer(ctx context.Context, spec ContainerSpec) (*Container, error) {
	return e.CreateContainerWhen(ctx, spec, nil)
}

// CreateContainerWhen is CreateContainer for a container that is not to exist
// before ready has returned, which is asked once all is written that takes
// time. Nothing is left where it returns an error. It may be nil.
func (e *Engine) CreateContainerWhen(ctx context.Context, spec ContainerSpec, ready func() error) (*Container, error) {
	if !validName(spec.Name) {
		//lint:ignore ST1005 Docker's own words
		return nil, fmt.Errorf("Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", spec.Name)
	}
	img, err := e.images.Get(ctx, spec.Image)
	if err != nil {
		return nil, err
	}
	if spec, err = merge(spec, img.Config.Config); err != nil {
		return nil, fmt.Errorf("container %s: %w", spec.Name, err)
	}
	spec.Health = mergeHealth(spec.Health, (*Healthcheck)(img.Health))
	c := &Container{Version: formatVersion, ID: objectname.NewID(), Created: time.Now().UTC(), ImageID: img.ID, Spec: spec}
	if err := checkSpec(&c.Spec); err != nil {
		return nil, fmt.Errorf("container %s: %w", spec.Name, err)
	}
	if c.UserNS, err = e.remap(&c.Spec); err == nil && c.UserNS != nil {
		_, err = e.externalRuntime(c)
	}
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", spec.Name, err)
	}

	// Held shared while containers are made; sweep wants it alone.
	lock, err := filelock.Shared(filepath.Join(e.roots.Containers(), ".lock"))
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	tmp := e.newDir(c.ID)
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return nil, err
	}
	made := false
	defer func() {
		if !made {
			_ = e.removeAnonymous(ctx, c)
			_ = e.releaseName(spec.Name, c.ID, tmp)
			_ = os.RemoveAll(tmp)
		}
	}()
	for _, d := range []string{"upper", "work"} {
		if err := os.Mkdir(filepath.Join(tmp, d), 0o755); err != nil {
			return nil, err
		}
	}
	// The container's root directory, whatever our umask.
	if err := os.Chmod(filepath.Join(tmp, "upper"), 0o755); err != nil {
		return nil, err
	}
	// The record first: it says which name and volumes a crash may leave.
	anonymous := nameVolumes(c)
	if err := e.nameImages(ctx, c); err != nil {
		return nil, err
	}
	if err := statefile.CreateKept(filepath.Join(tmp, "config.json"), c); err != nil {
		return nil, err
	}
	if ready != nil {
		if err := ready(); err != nil {
			return nil, err
		}
	}
	if err := e.claimName(spec.Name, c.ID); err != nil {
		return nil, err
	}
	fault.Point("create: name claimed")
	if err := e.prepareVolumes(ctx, c, img, anonymous); err != nil {
		return nil, err
	}
	defer trace.Begin("give it its final name", c.ID).End()
	fault.Point("create: ready")
	err = e.images.WhileThere(c.ImageID, func() error { return os.Rename(tmp, e.dir(c.ID)) })
	if err != nil {
		return nil, err
	}
	made = true
	fault.Point("create: there")
	e.Happened(c, "create", nil)
	return c, statefile.SyncDir(e.roots.Containers())
}

// nameVolumes gives the volumes that the container alone is to have their
// names, and returns these.
func nameVolumes(c *Container) map[string]bool {
	named := map[string]bool{}
	for i := range c.Spec.Mounts {
		if m := &c.Spec.Mounts[i]; m.Type == "volume" && m.Source == "" {
			m.Source = objectname.NewID()
			named[m.Source] = true
		}
	}
	return named
}

// nameImages notes the IDs of the images that the container mounts, and sees
// that they can be.
func (e *Engine) nameImages(ctx context.Context, c *Container) error {
	for i := range c.Spec.Mounts {
		m := &c.Spec.Mounts[i]
		if m.Type != "image" {
			continue
		}
		mounted, err := e.images.Get(ctx, m.Source)
		if err != nil {
			return err
		}
		m.ImageID = mounted.ID
		if _, err := e.imageMount(*m); err != nil {
			return fmt.Errorf("mount on %s: %w", m.Target, err)
		}
	}
	return nil
}

// prepareVolumes makes the container's volumes and fills the empty ones.
func (e *Engine) prepareVolumes(ctx context.Context, c *Container, img *image.Image, anonymous map[string]bool) error {
	type fill struct{ name, target string }
	var fills []fill
	for i := range c.Spec.Mounts {
		m := &c.Spec.Mounts[i]
		switch m.Type {
		case "volume":
			cfg := volumes.Config{Name: m.Source, Labels: m.Labels}
			if anonymous[m.Source] {
				cfg.Labels = map[string]string{AnonymousLabel: ""}
			}
			v, err := e.volumes.Create(cfg)
			if err != nil {
				return err
			}
			fault.Point("create: a volume made")
			if m.NoCopy || v.Options["device"] != "" {
				continue
			}
			empty, err := e.volumes.Empty(v.Name)
			if err != nil {
				return fmt.Errorf("volume %s: %w", v.Name, err)
			}
			if empty {
				fills = append(fills, fill{v.Name, m.Target})
			}
		case "bind":
			if err := prepareBind(m, c.UserNS); err != nil {
				return err
			}
		}
	}
	if len(fills) == 0 {
		return nil
	}
	lowers, err := e.images.Lowers(ctx, img.ID)
	if err != nil || len(lowers) == 0 {
		return err
	}
	return runtime.InMountNS(runtime.RootFS{Lowers: lowers}, func(root *os.File) error {
		for _, f := range fills {
			dir, err := unix.Openat2(int(root.Fd()), strings.TrimPrefix(f.target, "/"), &unix.OpenHow{
				Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
				Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
			})
			if err == unix.ENOENT || err == unix.ENOTDIR {
				continue
			}
			if err != nil {
				return fmt.Errorf("volume %s: %w", f.name, err)
			}
			err = e.volumes.CopyUp(f.name, dir)
			unix.Close(dir)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// makeOwned makes a directory, and those above it that are missing, as the
// container's root.
func makeOwned(dir string, u *UserNS) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		if err = makeOwned(filepath.Dir(dir), u); err == nil {
			err = os.Mkdir(dir, 0o755)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // another container's start was faster
	}
	if err != nil || u == nil {
		return err
	}
	uid, gid := u.outside(0, 0)
	return os.Lchown(dir, uid, gid)
}

func prepareBind(m *Mount, u *UserNS) error {
	_, err := os.Stat(m.Source)
	if errors.Is(err, fs.ErrNotExist) && m.CreateHost {
		err = makeOwned(m.Source, u)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("invalid mount config for type \"bind\": bind source path does not exist: %s", m.Source)
	}
	return err
}
