package fileop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/moby/buildkit/solver/pb"
	mode "github.com/tonistiigi/dchapes-mode"
	"golang.org/x/sys/unix"

	"compose/internal/lateinit"
)

// Copy carries out a COPY or ADD from src into the tree below the descriptor
// dst. Owner nil keeps the owners of the files.
func Copy(ctx context.Context, src Tree, dst int, a *pb.FileActionCopy, owner *Owner) error {
	lateinit.Run(lateinit.Builds)
	s, err := newSelection(ctx, src, a)
	if err != nil {
		return err
	}
	list, err := s.sources(a)
	if err != nil {
		return err
	}
	c := &copier{root: dst, action: a, owner: owner, links: map[inode]string{}, dirMode: 0o755}
	if a.Timestamp != -1 {
		t := time.Unix(0, a.Timestamp)
		c.time = &t
	}
	if a.ModeStr != "" {
		set, err := mode.ParseWithUmask(a.ModeStr, 0)
		if err != nil {
			return fmt.Errorf("mode %q: %w", a.ModeStr, err)
		}
		c.modeSet = &set
	} else if a.Mode != -1 {
		m := uint32(a.Mode) & 0o7777
		c.mode, c.dirMode = &m, m
	}
	for _, real := range list {
		if a.AttemptUnpackDockerCompatibility {
			done, err := c.unpack(src, real)
			if err != nil {
				return err
			}
			if done {
				continue
			}
		}
		if err := c.place(src, real); err != nil {
			return err
		}
		if err := s.walk(real, c); err != nil {
			return err
		}
	}
	return nil
}

// copier is the visitor that makes the files it is told of.
type copier struct {
	root    int
	action  *pb.FileActionCopy
	owner   *Owner
	mode    *uint32
	modeSet *mode.Set
	dirMode uint32 // of directories made above the target
	time    *time.Time
	links   map[inode]string // absolute name of the first copy of a file with several

	top   string // where the selection's top goes; absolute and free of links
	stack []level
}

// level is a target directory that is being filled.
type level struct {
	fd      int
	at      string
	created bool
	times   [2]unix.Timespec // what it had before, to be given back
	keep    bool             // it is not the source's to describe
}

// place works out where the source real goes and makes the directories above.
func (c *copier) place(src Tree, real string) error {
	st, err := statIn(src.Root, real)
	if err != nil {
		return pathError("stat", real, err)
	}
	dest := path.Clean("/" + c.action.Dest)
	asDir := strings.HasSuffix(c.action.Dest, "/") || strings.HasSuffix(c.action.Dest, "/.")
	if !c.action.CreateDestPath {
		if _, err := statIn(c.root, path.Dir(dest)); err != nil {
			return pathError("stat", c.action.Dest, err)
		}
	}
	above := path.Dir(dest)
	if asDir {
		above = dest
	}
	if err := c.mkdirAll(above); err != nil {
		return err
	}
	if dest, err = realPath(c.root, dest, true); err != nil {
		return err
	}
	old, err := statIn(c.root, dest)
	exists := err == nil
	if err != nil && !isMissing(err) {
		return pathError("stat", dest, err)
	}
	if exists && (!isDir(&st) && isDir(&old) || isDir(&st) && !c.action.DirCopyContents) {
		dest = path.Join(dest, path.Base(real))
	}
	if err := c.mkdirAll(path.Dir(dest)); err != nil {
		return err
	}
	c.top = dest
	return nil
}

// mkdirAll makes a directory of the target and what is missing above it.
func (c *copier) mkdirAll(name string) error {
	return mkdirAll(c.root, name, c.dirMode, c.owner, c.time)
}

func (c *copier) target(e *entry) string { return path.Join(c.top, e.rel) }

// at is the open directory that e goes into, and its name there.
func (c *copier) at(e *entry) (dir int, name string, done func(), err error) {
	if n := len(c.stack); n > 0 {
		return c.stack[n-1].fd, path.Base(c.target(e)), func() {}, nil
	}
	above, name := path.Split(c.target(e))
	if name == "" {
		name = "."
	}
	fd, err := openIn(c.root, above, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, "", nil, pathError("open", above, err)
	}
	return fd, name, func() { unix.Close(fd) }, nil
}

func (c *copier) enter(e *entry) error {
	dir, name, done, err := c.at(e)
	if err != nil {
		return err
	}
	defer done()
	var old unix.Stat_t
	err = unix.Fstatat(dir, name, &old, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == nil && !isDir(&old):
		if !c.action.AlwaysReplaceExistingDestPaths {
			return fmt.Errorf("cannot copy to non-directory: %s", c.target(e))
		}
		if err := unix.Unlinkat(dir, name, 0); err != nil {
			return pathError("remove", c.target(e), err)
		}
		err = unix.ENOENT
	case err != nil && err != unix.ENOENT:
		return pathError("stat", c.target(e), err)
	}
	l := level{at: c.target(e), created: err != nil}
	if l.created {
		if err := unix.Mkdirat(dir, name, 0o700); err != nil {
			return pathError("mkdir", c.target(e), err)
		}
	} else if e.rel == "" {
		// The directory that is copied into stays as it is.
		l.keep = true
		l.times = [2]unix.Timespec{old.Atim, old.Mtim}
	}
	l.fd, err = unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return pathError("open", c.target(e), err)
	}
	c.stack = append(c.stack, l)
	return nil
}

func (c *copier) leave(e *entry) error {
	l := c.stack[len(c.stack)-1]
	c.stack = c.stack[:len(c.stack)-1]
	defer unix.Close(l.fd)
	dir, name, done, err := c.at(e)
	if err != nil {
		return err
	}
	defer done()
	if l.keep {
		return unix.UtimesNanoAt(dir, name, l.times[:], unix.AT_SYMLINK_NOFOLLOW)
	}
	return c.describe(e, dir, name)
}

func (c *copier) file(e *entry) error {
	dir, name, done, err := c.at(e)
	if err != nil {
		return err
	}
	defer done()
	var old unix.Stat_t
	switch err := unix.Fstatat(dir, name, &old, unix.AT_SYMLINK_NOFOLLOW); {
	case err == nil && isDir(&old):
		if !c.action.AlwaysReplaceExistingDestPaths {
			return fmt.Errorf("cannot replace to directory %s with file", c.target(e))
		}
		if err := removeAt(dir, name); err != nil {
			return pathError("remove", c.target(e), err)
		}
	case err == nil:
		if err := unix.Unlinkat(dir, name, 0); err != nil {
			return pathError("remove", c.target(e), err)
		}
	case err != unix.ENOENT:
		return pathError("stat", c.target(e), err)
	}
	switch e.st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		linked, err := c.link(e, dir, name)
		if err != nil || linked {
			return err
		}
		if err := copyContent(e, dir, name); err != nil {
			return pathError("copy to", c.target(e), err)
		}
	case unix.S_IFLNK:
		target, err := readlinkat(e.dir, e.name)
		if err != nil {
			return pathError("readlink", e.rel, err)
		}
		if err := unix.Symlinkat(target, dir, name); err != nil {
			return pathError("symlink", c.target(e), err)
		}
	case unix.S_IFSOCK:
		// A socket without its process means nothing in an image.
		return nil
	default:
		if err := unix.Mknodat(dir, name, e.st.Mode&unix.S_IFMT|0o600, int(e.st.Rdev)); err != nil {
			return pathError("mknod", c.target(e), err)
		}
	}
	return c.describe(e, dir, name)
}

// link makes a second name of a file a second name of its copy.
func (c *copier) link(e *entry, dir int, name string) (bool, error) {
	if e.st.Nlink < 2 {
		return false, nil
	}
	key := inode{e.st.Dev, e.st.Ino}
	first, ok := c.links[key]
	if !ok {
		c.links[key] = c.target(e)
		return false, nil
	}
	from, err := openIn(c.root, path.Dir(first), unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return false, pathError("open", path.Dir(first), err)
	}
	defer unix.Close(from)
	if err := unix.Linkat(from, path.Base(first), dir, name, 0); err != nil {
		return false, pathError("link", c.target(e), err)
	}
	return true, nil
}

// describe gives a copied file its owner, mode, attributes and times.
func (c *copier) describe(e *entry, dir int, name string) error {
	uid, gid := c.owner.of(int(e.st.Uid), int(e.st.Gid))
	if err := unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return pathError("chown", c.target(e), err)
	}
	if !isLink(&e.st) {
		if err := unix.Fchmodat(dir, name, c.modeOf(e), 0); err != nil {
			return pathError("chmod", c.target(e), err)
		}
		list, err := xattrsAt(e.dir, e.name)
		if err != nil {
			return err
		}
		if err := setXattrs(dir, name, list); err != nil {
			return err
		}
	}
	times := []unix.Timespec{e.st.Mtim, e.st.Mtim}
	if c.time != nil {
		times = timespecs(*c.time)
	}
	if err := unix.UtimesNanoAt(dir, name, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return pathError("utimes", c.target(e), err)
	}
	return nil
}

func (c *copier) modeOf(e *entry) uint32 {
	switch {
	case c.mode != nil:
		return *c.mode
	case c.modeSet != nil:
		return unixMode(c.modeSet.Apply(fileMode(e.st.Mode)))
	}
	return e.st.Mode & 0o7777
}

// copyContent copies a regular file that stat saw as such.
func copyContent(e *entry, dir int, name string) error {
	in, err := unix.Openat(e.dir, e.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	from := os.NewFile(uintptr(in), e.name)
	defer from.Close()
	out, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	to := os.NewFile(uintptr(out), name)
	if e.st.Size > 0 {
		err = copyData(to, from)
	}
	if closed := to.Close(); err == nil {
		err = closed
	}
	return err
}

func copyData(to, from *os.File) error {
	// ReadFrom has the kernel copy (copy_file_range, splice) where it can.
	_, err := io.Copy(to, from)
	return err
}

// removeAt removes a file or a whole tree.
func removeAt(dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	if err != unix.EISDIR && err != unix.EPERM {
		return err
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		return err
	}
	names, err := readDirNames(fd)
	for _, n := range names {
		if err == nil {
			err = removeAt(fd, n)
		}
	}
	unix.Close(fd)
	if err != nil {
		return err
	}
	return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
}

func timespecs(t time.Time) []unix.Timespec {
	ts := unix.NsecToTimespec(t.UnixNano())
	return []unix.Timespec{ts, ts}
}
