package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// mountPoints are what every container has something mounted on. They are the
// files of one more layer, below those of the image: where that lacks a mount
// point, as small ones do, it need not be made in the layer of each container.
var mountPoints = []struct {
	path string
	mode fs.FileMode
}{
	{"", fs.ModeDir | 0o755},
	{"dev", fs.ModeDir | 0o755},
	{"proc", fs.ModeDir | 0o755},
	{"sys", fs.ModeDir | 0o755},
	{"etc", fs.ModeDir | 0o755},
	{"etc/hosts", 0o644},
	{"etc/hostname", 0o644},
	{"etc/resolv.conf", 0o644},
}

// lowers are the layers below a container's own, the top one first.
func (e *Engine) lowers(ctx context.Context, imageID string) ([]string, error) {
	dirs, err := e.images.Lowers(ctx, imageID)
	if err != nil {
		return nil, err
	}
	bottom, err := e.bottom()
	return append(dirs, bottom), err
}

// makeMountPoints makes the layer of the mount points. What is missing of it is
// made in the containers, so it matters to nobody how far another has come.
func makeMountPoints(dir string) (string, error) {
	for _, p := range mountPoints {
		at := filepath.Join(dir, p.path)
		info, err := os.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			if err = makePoint(at, p.mode); err == nil {
				info, err = os.Lstat(at)
			}
		}
		if err == nil && info.Mode() != p.mode {
			err = os.Chmod(at, p.mode.Perm()) // whatever the umask
		}
		if err != nil {
			return dir, err
		}
	}
	return dir, nil
}

func makePoint(path string, mode fs.FileMode) error {
	if mode.IsDir() {
		if err := os.Mkdir(path, mode.Perm()); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, mode.Perm())
	if err != nil {
		return err
	}
	return f.Close()
}
