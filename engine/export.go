package engine

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"compose/engine/build/fileop"
	"compose/engine/image"
	"compose/engine/runtime"
)

// ExportImage writes the files of an image as a tar archive.
func (e *Engine) ExportImage(ctx context.Context, img *image.Image, w io.Writer) error {
	lowers, err := e.images.Lowers(ctx, img.ID)
	if err != nil {
		return err
	}
	if len(lowers) == 0 {
		return tar.NewWriter(w).Close()
	}
	return runtime.InMountNS(runtime.RootFS{Lowers: lowers}, func(root *os.File) error { return writeTree(w, tree{root: root}) })
}

// ExportContainer writes the files of a container as a tar archive, without
// its volumes.
func (e *Engine) ExportContainer(ctx context.Context, id string, w io.Writer) error {
	defer e.happenedTo(id, "export")
	return e.inContainer(ctx, id, func(t tree) error { return writeTree(w, t) })
}

// tree is files of a container below an open directory.
type tree struct {
	root *os.File
	// shown is what their owners are to be translated by: those of a running
	// container are seen as the host sees them. Nil: they are the container's.
	shown *UserNS
}

// change calls fn where it may make files in the tree.
func (t tree) change(fn func() error) error {
	if t.shown == nil {
		return fn()
	}
	uid, gid := t.shown.outside(0, 0)
	return runtime.WritingAs(uid, gid, fn)
}

// owner is for copies that come into the tree: the container's root, or, where
// they keep theirs, the user of the same number.
func (t tree) owner(keep bool) *fileop.Owner {
	if t.shown == nil && keep {
		return nil
	}
	o := &fileop.Owner{}
	o.UID, o.GID = t.shown.outside(0, 0)
	if keep {
		o.Of = t.shown.outside
	}
	return o
}

// inContainer calls fn with a container's files, without its volumes, whether
// it runs or not. What fn writes is in the container.
func (e *Engine) inContainer(ctx context.Context, id string, fn func(tree) error) error {
	c, err := e.read(id)
	if err != nil {
		return err
	}
	if state, err := e.State(id); err == nil && (state.Status == Running || state.Status == Paused) {
		// An overlay is mounted only once: what runs has it.
		root, err := os.Open(fmt.Sprintf("/proc/%d/root", state.PID))
		if err != nil {
			return fmt.Errorf("open the files of container %s: %w", c.Spec.Name, err)
		}
		defer root.Close()
		if !Alive(state.PID, state.PIDStart) {
			return fmt.Errorf("container %s has just ended: try again", c.Spec.Name)
		}
		return fn(tree{root, c.UserNS})
	}
	lowers, err := e.lowers(ctx, c.ImageID)
	if err != nil {
		return err
	}
	fs := runtime.RootFS{Lowers: lowers, Upper: filepath.Join(e.dir(id), "upper"), Work: filepath.Join(e.dir(id), "work")}
	return runtime.InMountNS(fs, func(root *os.File) error { return fn(tree{root: root}) })
}

// writeTree writes what is below an open directory, on its file system only.
func writeTree(w io.Writer, from tree) error {
	tw := tar.NewWriter(w)
	t := &treeWriter{tw: tw, links: map[inode]string{}, shown: from.shown}
	var st unix.Stat_t
	if err := unix.Fstat(int(from.root.Fd()), &st); err != nil {
		return err
	}
	t.dev = st.Dev
	if err := t.dir(int(from.root.Fd()), ""); err != nil {
		return err
	}
	return tw.Close()
}

// writePath writes one file or directory below a root, under its last name.
func writePath(tw *tar.Writer, from tree, name string, follow bool) error {
	flags := uint64(unix.O_PATH | unix.O_CLOEXEC)
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	clean := path.Clean("/" + name)
	in := strings.TrimPrefix(clean, "/")
	if in == "" {
		in = "."
	}
	fd, err := unix.Openat2(int(from.root.Fd()), in, &unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return fmt.Errorf("could not find the file %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	t := &treeWriter{tw: tw, links: map[inode]string{}, dev: st.Dev, shown: from.shown}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR && (clean == "/" || strings.HasSuffix(name, "/.")) {
		return t.dir(fd, "./")
	}
	return t.open(f, path.Base(clean))
}

type inode struct{ dev, ino uint64 }

type treeWriter struct {
	tw    *tar.Writer
	dev   uint64
	links map[inode]string // files with several names
	shown *UserNS          // as in tree
}

// dir writes the entries of an open directory, by descriptors: what is moved
// meanwhile cannot lead elsewhere.
func (t *treeWriter) dir(fd int, prefix string) error {
	again, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	d := os.NewFile(uintptr(again), prefix)
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := t.entry(fd, name, prefix+name); err != nil {
			return err
		}
	}
	return nil
}

func (t *treeWriter) entry(dir int, name, path string) error {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil // it has just gone
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	return t.open(f, path)
}

// open writes what a path descriptor stands for, and what is below it.
func (t *treeWriter) open(f *os.File, path string) error {
	fd := int(f.Fd())
	info, err := f.Stat()
	if err != nil {
		return err
	}
	st := info.Sys().(*syscall.Stat_t)
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(fd, "", buf)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		link = string(buf[:n])
	}
	if info.Mode()&fs.ModeSocket != 0 {
		return nil // an archive has no sockets
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	h.Name, h.Uname, h.Gname = path, "", ""
	h.Uid, h.Gid = t.shown.inside(int(st.Uid), int(st.Gid))
	if info.IsDir() {
		h.Name += "/"
	}
	if st.Nlink > 1 && !info.IsDir() {
		key := inode{st.Dev, st.Ino}
		if first, ok := t.links[key]; ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
			return t.tw.WriteHeader(h)
		}
		t.links[key] = path
	}
	if err := t.tw.WriteHeader(h); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case info.IsDir() && st.Dev != t.dev:
		return nil // something is mounted there
	case info.IsDir():
		return t.dir(fd, path+"/")
	case info.Mode().IsRegular():
		data, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		defer data.Close()
		if _, err := io.CopyN(t.tw, data, h.Size); err != nil {
			return fmt.Errorf("%s changed while it was read: %w", path, err)
		}
	}
	return nil
}
