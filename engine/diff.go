package engine

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Change is a difference between a container's files and its image's.
type Change struct {
	Kind byte // 'A' added, 'C' changed, 'D' deleted
	Path string
}

// Diff lists what a container has changed in its own layer, by path.
func (e *Engine) Diff(ctx context.Context, id string) ([]Change, error) {
	c, err := e.read(id)
	if err != nil {
		return nil, err
	}
	lowers, err := e.lowers(ctx, c.ImageID)
	if err != nil {
		return nil, err
	}
	upper := filepath.Join(e.dir(id), "upper")
	var out []Change
	err = filepath.WalkDir(upper, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == upper {
			return nil // it is going at this moment
		}
		name := strings.TrimPrefix(path, upper)
		info, err := d.Info()
		if err != nil {
			return nil // likewise
		}
		st := info.Sys().(*syscall.Stat_t)
		switch {
		case st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0: // overlayfs' mark of a deleted file
			out = append(out, Change{'D', name})
		case inLowers(lowers, name):
			out = append(out, Change{'C', name})
		default:
			out = append(out, Change{'A', name})
		}
		return nil
	})
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return out, err
}

// inLowers says whether one of the layers has a file of that name.
func inLowers(lowers []string, name string) bool {
	return slices.ContainsFunc(lowers, func(dir string) bool {
		root, err := os.Open(dir)
		if err != nil {
			return false
		}
		defer root.Close()
		fd, err := unix.Openat2(int(root.Fd()), strings.TrimPrefix(name, "/"), &unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
		if err != nil {
			return false
		}
		unix.Close(fd)
		return true
	})
}
