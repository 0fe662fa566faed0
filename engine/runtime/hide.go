package runtime

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// hidePaths covers the Spec's masked paths and makes its read-only ones so. It
// runs after the container's /proc is mounted and before any of its programs.
// A path of /proc or /sys has to lie on the kernel's own file system: a mask
// that something else catches in its place is refused, not believed.
func (c *creation) hidePaths() error {
	masked, readonly := c.spec.Linux.MaskedPaths, c.spec.Linux.ReadonlyPaths
	if len(masked)+len(readonly) == 0 {
		return nil
	}
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	// From here a descriptor's number is a relative path to what it refers to.
	if err := unix.Fchdir(c.fds); err != nil {
		return err
	}
	null := -1
	for _, name := range masked {
		fd, isDir, err := openToHide(root, name)
		if err != nil {
			return err
		}
		if fd < 0 {
			continue
		}
		if isDir {
			err = unix.Mount("tmpfs", strconv.Itoa(fd), "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=0")
		} else {
			if null < 0 {
				if null, err = openNull(root); err != nil {
					unix.Close(fd)
					return err
				}
				defer unix.Close(null)
			}
			err = unix.Mount(strconv.Itoa(null), strconv.Itoa(fd), "", unix.MS_BIND, "")
		}
		unix.Close(fd)
		if err != nil {
			return fmt.Errorf("mask %s: %w", name, err)
		}
	}
	for _, name := range readonly {
		if err := makeReadOnly(root, name); err != nil {
			return fmt.Errorf("make %s read-only: %w", name, err)
		}
	}
	return unix.Chdir("/")
}

// openToHide returns -1 where the kernel has no such file.
func openToHide(root int, name string) (fd int, isDir bool, err error) {
	fd, err = openInRoot(root, name, unix.O_PATH, unix.RESOLVE_NO_SYMLINKS)
	if isMissing(err) {
		return -1, false, nil
	}
	if err != nil {
		return -1, false, fmt.Errorf("open %s: %w", name, err)
	}
	var fs unix.Statfs_t
	var st unix.Stat_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return -1, false, err
	}
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, false, err
	}
	if strings.HasPrefix(name, "/proc/") && fs.Type != unix.PROC_SUPER_MAGIC || strings.HasPrefix(name, "/sys/") && fs.Type != unix.SYSFS_MAGIC && fs.Type != unix.TMPFS_MAGIC {
		unix.Close(fd)
		return -1, false, fmt.Errorf("%s is not on the kernel's file system: refusing to start", name)
	}
	return fd, st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}

func openNull(root int) (int, error) {
	fd, err := openInRoot(root, "dev/null", unix.O_PATH, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return -1, fmt.Errorf("open /dev/null: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		unix.Close(fd)
		return -1, fmt.Errorf("/dev/null of the container is not the null device: refusing to start")
	}
	return fd, nil
}

func makeReadOnly(root int, name string) error {
	fd, _, err := openToHide(root, name)
	if err != nil || fd < 0 {
		return err
	}
	err = unix.Mount(strconv.Itoa(fd), strconv.Itoa(fd), "", unix.MS_BIND|unix.MS_REC, "")
	unix.Close(fd)
	if err != nil {
		return err
	}
	top, err := openInRoot(root, name, unix.O_PATH, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return err
	}
	defer unix.Close(top)
	return remountBind(top, strconv.Itoa(top), unix.MS_RDONLY)
}
