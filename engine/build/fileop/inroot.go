package fileop

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// openIn opens name below root; links lead no higher than root.
func openIn(root int, name string, flags uint64, resolve uint64) (int, error) {
	name = strings.TrimLeft(name, "/")
	if name == "" {
		name = "."
	}
	for {
		fd, err := unix.Openat2(root, name, &unix.OpenHow{
			Flags:   flags | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolve,
		})
		// EAGAIN: a rename elsewhere on the host raced with a ".." on the way.
		if err != unix.EAGAIN && err != unix.EINTR {
			return fd, err
		}
	}
}

// maxLinks bounds the links followed for one path, as the kernel does.
const maxLinks = 40

// realPath resolves every link of name below root and returns the absolute
// path, "/" being root. What does not exist is kept as it is written; with
// followLast false the last component is not followed either.
func realPath(root int, name string, followLast bool) (string, error) {
	left := strings.Split(path.Clean("/"+name), "/")[1:]
	done := "/"
	for links := 0; len(left) > 0; {
		part := left[0]
		left = left[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, part)
		if len(left) == 0 && !followLast {
			return next, nil
		}
		target, err := readlinkIn(root, next)
		if err != nil {
			if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
				done = next
				continue
			}
			return "", pathError("readlink", next, err)
		}
		if links++; links > maxLinks {
			return "", pathError("readlink", name, unix.ELOOP)
		}
		if path.IsAbs(target) {
			done = "/"
		}
		left = append(strings.Split(target, "/"), left...)
	}
	return done, nil
}

func readlinkIn(root int, name string) (string, error) {
	fd, err := openIn(root, name, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		if err == unix.ELOOP {
			err = unix.ENOTDIR
		}
		return "", err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", unix.EINVAL
	}
	return readlinkat(fd, "")
}

func readlinkat(dir int, name string) (string, error) {
	buf := make([]byte, 4096)
	n, err := unix.Readlinkat(dir, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// statIn is stat(2) of a path without links.
func statIn(root int, name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	fd, err := openIn(root, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return st, err
	}
	defer unix.Close(fd)
	return st, unix.Fstat(fd, &st)
}

// readDirNames lists the directory behind fd, which may be an O_PATH one.
func readDirNames(fd int) ([]string, error) {
	dup, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(dup), "dir")
	defer f.Close()
	return f.Readdirnames(-1)
}

func isDir(st *unix.Stat_t) bool  { return st.Mode&unix.S_IFMT == unix.S_IFDIR }
func isLink(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFLNK }

func isMissing(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
}

// pathError names a path of the build, not one of this host.
func pathError(op, name string, err error) error {
	return fmt.Errorf("%s %s: %w", op, name, err)
}
