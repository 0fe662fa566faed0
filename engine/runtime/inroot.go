package runtime

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// The image decides what lies in the root file system, links included, so
// every path below it is resolved by the kernel with the root as its ceiling.

// openInRoot opens name below root with openat2(2) and RESOLVE_IN_ROOT.
func openInRoot(root int, name string, flags uint64, resolve uint64) (int, error) {
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

// mkdirAllInRoot makes the directory name below root with what is missing
// above it and returns an O_PATH descriptor of it.
func mkdirAllInRoot(root int, name string) (int, error) {
	name = strings.Trim(path.Clean("/"+name), "/")
	if name == "" {
		return openInRoot(root, ".", unix.O_PATH|unix.O_DIRECTORY, 0)
	}
	if fd, err := openInRoot(root, name, unix.O_PATH|unix.O_DIRECTORY, 0); err == nil || !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	parent, err := mkdirAllInRoot(root, path.Dir(name))
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	if err := unix.Mkdirat(parent, path.Base(name), 0o755); err != nil && err != unix.EEXIST {
		return -1, err
	}
	return openInRoot(root, name, unix.O_PATH|unix.O_DIRECTORY, 0)
}

// mkfileInRoot is mkdirAllInRoot for a mount point that is a file.
func mkfileInRoot(root int, name string) (int, error) {
	if fd, err := openInRoot(root, name, unix.O_PATH, 0); err == nil || !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	parent, err := mkdirAllInRoot(root, path.Dir(path.Clean("/"+name)))
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	fd, err := unix.Openat(parent, path.Base(name), unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_WRONLY, 0o644)
	if err != nil && err != unix.EEXIST {
		return -1, err
	}
	if err == nil {
		unix.Close(fd)
	}
	return openInRoot(root, name, unix.O_PATH, 0)
}

// fdPath is a path by which mount(2) reaches what fd refers to, links and all
// other names aside. It needs the host's /proc.
func fdPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// readInRoot reads a whole regular file below root, at most limit bytes.
func readInRoot(root int, name string, limit int64) ([]byte, error) {
	// O_NONBLOCK: an image may have a FIFO where a file is expected.
	fd, err := openInRoot(root, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("/%s is no file of at most %d bytes", strings.Trim(name, "/"), limit)
	}
	data := make([]byte, info.Size())
	n, err := f.ReadAt(data, 0)
	if n == len(data) {
		err = nil
	}
	return data[:n], err
}
