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
	"compose/internal/filelock"
	"compose/internal/statefile"
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
	if !validName.MatchString(spec.Name) {
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
	if spec.Health == nil && img.Health != nil {
		spec.Health = (*Healthcheck)(img.Health)
	}
	c := &Container{Version: formatVersion, ID: newID(), Created: time.Now().UTC(), ImageID: img.ID, Spec: spec}
	if err := checkSpec(&c.Spec); err != nil {
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
			_ = os.RemoveAll(tmp)
			_ = e.releaseName(spec.Name, c.ID)
		}
	}()
	if err := e.claimName(spec.Name, c.ID); err != nil {
		return nil, err
	}
	for _, d := range []string{"upper", "work"} {
		if err := os.Mkdir(filepath.Join(tmp, d), 0o755); err != nil {
			return nil, err
		}
	}
	if err := e.prepareVolumes(ctx, c, img); err != nil {
		return nil, err
	}
	if err := statefile.WriteJSON(filepath.Join(tmp, "config.json"), c); err != nil {
		return nil, err
	}
	if err := os.Rename(tmp, e.dir(c.ID)); err != nil {
		return nil, err
	}
	made = true
	return c, statefile.SyncDir(e.roots.Containers())
}

// prepareVolumes makes the container's volumes and fills the empty ones.
func (e *Engine) prepareVolumes(ctx context.Context, c *Container, img *image.Image) error {
	type fill struct{ name, target string }
	var fills []fill
	for i := range c.Spec.Mounts {
		m := &c.Spec.Mounts[i]
		switch m.Type {
		case "volume":
			cfg := volumes.Config{Name: m.Source, Labels: m.Labels}
			if m.Source == "" {
				cfg.Name = newID()
				cfg.Labels = map[string]string{AnonymousLabel: ""}
			}
			v, err := e.volumes.Create(cfg)
			if err != nil {
				return err
			}
			m.Source = v.Name
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
			if err := prepareBind(m); err != nil {
				return err
			}
		}
	}
	if len(fills) == 0 {
		return nil
	}
	lowers, err := e.images.Lowers(ctx, img)
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

func prepareBind(m *Mount) error {
	_, err := os.Stat(m.Source)
	if errors.Is(err, fs.ErrNotExist) && m.CreateHost {
		err = os.MkdirAll(m.Source, 0o755)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("invalid mount config for type \"bind\": bind source path does not exist: %s", m.Source)
	}
	return err
}

// Sweep deletes what interrupted creations and removals have left. It does
// nothing while a container is being made.
func (e *Engine) Sweep() error {
	entries, err := os.ReadDir(e.roots.Containers())
	if err != nil {
		return nil
	}
	var stale []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".new-") || strings.HasPrefix(entry.Name(), ".trash-") {
			stale = append(stale, entry.Name())
		}
	}
	if len(stale) == 0 {
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
		if err := os.RemoveAll(filepath.Join(e.roots.Containers(), name)); err != nil {
			return err
		}
	}
	return nil
}
