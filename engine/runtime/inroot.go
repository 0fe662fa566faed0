package runtime

import (
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
// above it, also behind a link that leads nowhere yet, and returns an O_PATH
// descriptor of it.
func mkdirAllInRoot(root int, name string) (int, error) { return makeInRoot(root, name, true, 0) }

// mkfileInRoot is mkdirAllInRoot for a mount point that is a file.
func mkfileInRoot(root int, name string) (int, error) { return makeInRoot(root, name, false, 0) }

func makeInRoot(root int, name string, dir bool, depth int) (int, error) {
	flags := uint64(unix.O_PATH)
	if dir {
		flags |= unix.O_DIRECTORY
	}
	name = strings.Trim(path.Clean("/"+name), "/")
	if name == "" {
		return openInRoot(root, ".", flags, 0)
	}
	fd, err := openInRoot(root, name, flags, 0)
	if err != unix.ENOENT {
		return fd, err
	}
	if depth > 255 {
		return -1, unix.ELOOP
	}
	parent, err := makeInRoot(root, path.Dir(name), true, depth+1)
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	base := path.Base(name)
	if dir {
		err = unix.Mkdirat(parent, base, 0o755)
	} else if fd, err = unix.Openat(parent, base, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_WRONLY, 0o644); err == nil {
		unix.Close(fd)
	}
	if err != nil && err != unix.EEXIST {
		return -1, err
	}
	made := err == nil
	if fd, err = openInRoot(root, name, flags, 0); err != unix.ENOENT || made {
		return fd, err
	}
	target, err := linkTarget(root, parent, base)
	if err != nil {
		return -1, err
	}
	return makeInRoot(root, target, dir, depth+1)
}

// linkTarget is where the link base in the directory parent leads, as a path
// from root.
func linkTarget(root, parent int, base string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(parent, base, buf)
	if err != nil {
		return "", err
	}
	link := string(buf[:n])
	if path.IsAbs(link) {
		return link, nil
	}
	top, err := os.Readlink(fdPath(root))
	if err != nil {
		return "", err
	}
	at, err := os.Readlink(fdPath(parent))
	if err != nil {
		return "", err
	}
	return path.Join("/", strings.TrimPrefix(at, top), link), nil
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

// statInRoot is stat(2) for paths of a container, from the working directory cwd.
func statInRoot(root int, cwd string) func(string, *unix.Stat_t) error {
	return func(name string, st *unix.Stat_t) error {
		if !path.IsAbs(name) {
			name = path.Join(cwd, name)
		}
		fd, err := openInRoot(root, name, unix.O_PATH, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Fstat(fd, st)
	}
}
