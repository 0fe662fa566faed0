package engine

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"compose/engine/build/fileop"
)

// CopyOptions say how files are copied between a container and the host.
type CopyOptions struct {
	FollowLink bool // copy what a link that is named points to
	Archive    bool // keep owners; otherwise all is root's
}

// CopyIn copies a file or directory of the host into a container: into dst if
// that is a directory, and as dst otherwise. A source that ends in "/." gives
// only what is in it.
func (e *Engine) CopyIn(ctx context.Context, id, src, dst string, opts CopyOptions) error {
	dir, base := filepath.Split(filepath.Clean(src))
	if dir == "" {
		dir = "."
	}
	if filepath.Clean(src) == "/" {
		dir, base = "/", "."
	}
	from, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := os.Lstat(src); err != nil {
		return err
	}
	defer e.happenedTo(id, "extract-to-dir")
	return e.within(ctx, id, dst, func(to tree, dst string) error {
		return to.change(func() error {
			return copyTree(ctx, from, withDot("/"+base, src), to.root, dst, opts.FollowLink, to.owner(opts.Archive))
		})
	})
}

// CopyInArchive unpacks a tar archive, compressed or not, into a directory of
// a container.
func (e *Engine) CopyInArchive(ctx context.Context, id string, archive io.Reader, dst string) error {
	dir, err := os.MkdirTemp(e.roots.Run, "copy-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f, err := os.Create(filepath.Join(dir, "archive"))
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, archive); err != nil {
		return fmt.Errorf("read the archive: %w", err)
	}
	from, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	defer e.happenedTo(id, "extract-to-dir")
	return e.within(ctx, id, dst, func(to tree, dst string) error {
		if st, err := statWithin(to.root, dst); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return fmt.Errorf("%s is not a directory of the container", dst)
		}
		return to.change(func() error {
			return fileop.Copy(ctx, fileop.Tree{Root: int(from.Fd())}, int(to.root.Fd()), &fileop.CopyAction{
				Src: "/archive", Dest: strings.TrimSuffix(dst, "/") + "/", Mode: -1, Timestamp: -1, AttemptUnpackDockerCompatibility: true,
			}, to.owner(true))
		})
	})
}

// CopyOut copies a file or directory of a container to the host, by the rules
// of CopyIn.
func (e *Engine) CopyOut(ctx context.Context, id, src, dst string, opts CopyOptions) error {
	real, err := filepath.Abs(dst)
	if err != nil {
		return err
	}
	if strings.HasSuffix(dst, "/") {
		if info, err := os.Stat(real); err != nil || !info.IsDir() {
			return fmt.Errorf("%s is not a directory", dst)
		}
	}
	// The host's own links count on the host's side.
	above, err := filepath.EvalSymlinks(filepath.Dir(real))
	if err != nil {
		return fmt.Errorf("%s: there is no such directory to copy into", filepath.Dir(real))
	}
	target := filepath.Join(above, filepath.Base(real))
	if followed, err := filepath.EvalSymlinks(real); err == nil {
		target = followed
	}
	to, err := os.Open("/")
	if err != nil {
		return err
	}
	defer to.Close()
	defer e.happenedTo(id, "archive-path")
	return e.within(ctx, id, src, func(from tree, src string) error {
		owner := &fileop.Owner{}
		if opts.Archive {
			owner.Of = from.shown.inside
		}
		return copyTree(ctx, from.root, withDot(path.Clean(src), src), to, target, opts.FollowLink, owner)
	})
}

// CopyOutArchive writes a file or directory of a container as a tar archive.
func (e *Engine) CopyOutArchive(ctx context.Context, id, src string, w io.Writer, opts CopyOptions) error {
	defer e.happenedTo(id, "archive-path")
	return e.within(ctx, id, src, func(from tree, src string) error {
		tw := tar.NewWriter(w)
		if err := writePath(tw, from, src, opts.FollowLink); err != nil {
			return err
		}
		return tw.Close()
	})
}

func copyTree(ctx context.Context, from *os.File, src string, to *os.File, dst string, follow bool, owner *fileop.Owner) error {
	contents := strings.HasSuffix(src, "/.")
	err := fileop.Copy(ctx, fileop.Tree{Root: int(from.Fd())}, int(to.Fd()), &fileop.CopyAction{
		Src: strings.TrimSuffix(src, "."), Dest: dst, Mode: -1, Timestamp: -1, FollowSymlink: follow, DirCopyContents: contents || !isDirWithin(to, dst),
	}, owner)
	var missing *fileop.NotFoundError
	if errors.As(err, &missing) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("could not find the file %s: %w", src, err)
	}
	return err
}

// withDot keeps the "/." at the end of a path, which cleaning takes away.
func withDot(clean, typed string) string {
	if strings.HasSuffix(typed, "/.") {
		return strings.TrimSuffix(clean, "/") + "/."
	}
	return clean
}

func statWithin(root *os.File, name string) (st unix.Stat_t, err error) {
	fd, err := unix.Openat2(int(root.Fd()), strings.TrimPrefix(path.Clean("/"+name), "/")+map[bool]string{true: "."}[path.Clean("/"+name) == "/"],
		&unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return st, err
	}
	defer unix.Close(fd)
	return st, unix.Fstat(fd, &st)
}

func isDirWithin(root *os.File, name string) bool {
	st, err := statWithin(root, name)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// within calls fn with the tree that a container's path is in, and the path
// from its root: of one that does not run, a volume is a tree of its own.
func (e *Engine) within(ctx context.Context, id, name string, fn func(in tree, name string) error) error {
	c, err := e.read(id)
	if err != nil {
		return err
	}
	trailing := ""
	switch {
	case strings.HasSuffix(name, "/."):
		trailing = "/."
	case strings.HasSuffix(name, "/"):
		trailing = "/"
	}
	if name = path.Clean("/" + name); name == "/" {
		trailing = strings.TrimPrefix(trailing, "/")
	}
	if state, err := e.State(id); err == nil && state.Status != Running && state.Status != Paused {
		if dir, rest, shown, ok := e.mountOf(c, name); ok {
			root, err := os.Open(dir)
			if err != nil {
				return err
			}
			defer root.Close()
			if rest == "/" {
				trailing = strings.TrimPrefix(trailing, "/")
			}
			return fn(tree{root, shown}, rest+trailing)
		}
	}
	return e.inContainer(ctx, id, func(all tree) error { return fn(all, name+trailing) })
}

// mountOf finds the directory of the host that a path of a container is on, if
// it is a volume's or a bind mount's, whose owners are the host's.
func (e *Engine) mountOf(c *Container, name string) (dir, rest string, shown *UserNS, ok bool) {
	best := ""
	for _, m := range c.Spec.Mounts {
		target := path.Clean(m.Target)
		if (name == target || strings.HasPrefix(name, target+"/")) && len(target) > len(best) {
			switch m.Type {
			case "volume":
				best, dir, shown = target, e.volumes.Path(m.Source), nil
			case "bind":
				best, dir, shown = target, m.Source, c.UserNS
			}
		}
	}
	if best == "" {
		return "", "", nil, false
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", "", nil, false
	}
	return dir, path.Clean("/" + strings.TrimPrefix(name, best)), shown, true
}
