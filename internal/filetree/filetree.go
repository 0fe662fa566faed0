// Package filetree copies trees of files as an image's authors have made them,
// hostile ones too.
package filetree

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Copy copies what is in one directory, and that one's own attributes, to an
// empty one: owner, mode, times, attributes, links and hard links are kept. It
// follows no link.
func Copy(from, to int) error {
	c := &copier{links: map[fileID]string{}, top: to}
	return c.dir(from, to)
}

type fileID struct{ dev, ino uint64 }

// copier is one Copy under way.
type copier struct {
	links map[fileID]string // where a file with several names was copied to first
	top   int
	path  []string // of the directory under way, below top
}

const maxDepth = 512

// dir copies what is in from, and its own attributes, to to.
func (c *copier) dir(from, to int) error {
	if len(c.path) > maxDepth {
		return errors.New("the directories are nested too deeply")
	}
	// A descriptor of its own to read from: the caller's may be O_PATH.
	fd, err := unix.Openat(from, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	d := os.NewFile(uintptr(fd), ".")
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.entry(fd, to, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	return attributes(fd, "", to, "", &st)
}

func (c *copier) entry(from, to int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(from, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	kind := st.Mode & unix.S_IFMT
	if kind != unix.S_IFDIR && st.Nlink > 1 {
		id := fileID{uint64(st.Dev), st.Ino}
		if first, ok := c.links[id]; ok {
			return unix.Linkat(c.top, first, to, name, 0)
		}
		c.links[id] = strings.Join(append(c.path[:len(c.path):len(c.path)], name), "/")
	}
	switch kind {
	case unix.S_IFDIR:
		return c.subdir(from, to, name)
	case unix.S_IFREG:
		if err := copyFile(from, to, name); err != nil {
			return err
		}
	case unix.S_IFLNK:
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(from, name, buf)
		if err != nil {
			return err
		}
		if err := unix.Symlinkat(string(buf[:n]), to, name); err != nil {
			return err
		}
	case unix.S_IFSOCK:
		return nil
	default:
		if err := unix.Mknodat(to, name, st.Mode, int(st.Rdev)); err != nil {
			return err
		}
	}
	return attributes(from, name, to, name, &st)
}

func (c *copier) subdir(from, to int, name string) error {
	if err := unix.Mkdirat(to, name, 0o700); err != nil {
		return err
	}
	in, err := unix.Openat(from, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(in)
	out, err := unix.Openat(to, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(out)
	c.path = append(c.path, name)
	defer func() { c.path = c.path[:len(c.path)-1] }()
	return c.dir(in, out)
}

func copyFile(from, to int, name string) error {
	in, err := unix.Openat(from, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	r := os.NewFile(uintptr(in), name)
	defer r.Close()
	out, err := unix.Openat(to, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	w := os.NewFile(uintptr(out), name)
	if _, err := io.Copy(w, r); err != nil { // copy_file_range where the kernel can
		w.Close()
		return err
	}
	return w.Close()
}

// attributes gives to/toName what from/fromName has; an empty name means the
// descriptor itself.
func attributes(from int, fromName string, to int, toName string, st *unix.Stat_t) error {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if toName == "" {
		flags = unix.AT_EMPTY_PATH
	}
	if err := unix.Fchownat(to, toName, int(st.Uid), int(st.Gid), flags); err != nil {
		return err
	}
	if err := xattrs(procPath(from, fromName), procPath(to, toName)); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		name := toName
		if name == "" {
			name = "."
		}
		if err := unix.Fchmodat(to, name, st.Mode&0o7777, 0); err != nil {
			return err
		}
	}
	return unix.UtimesNanoAt(to, toName, []unix.Timespec{st.Atim, st.Mtim}, flags)
}

func procPath(fd int, name string) string {
	if name == "" {
		name = "."
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, name)
}

func xattrs(from, to string) error {
	buf := make([]byte, 4096)
	n, err := unix.Llistxattr(from, buf)
	if err == unix.ENOTSUP || err == nil && n == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range strings.Split(strings.TrimRight(string(buf[:n]), "\x00"), "\x00") {
		if strings.HasPrefix(name, "trusted.overlay.") || name == "security.selinux" {
			continue
		}
		value := make([]byte, 1<<16)
		n, err := unix.Lgetxattr(from, name, value)
		if err != nil {
			return err
		}
		if err := unix.Lsetxattr(to, name, value[:n], 0); err != nil && err != unix.ENOTSUP {
			return err
		}
	}
	return nil
}
