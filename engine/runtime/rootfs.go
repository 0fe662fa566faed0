package runtime

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mount mounts the root file system in the calling thread's mount namespace,
// over a directory of its own, and returns that directory's path.
func (r RootFS) mount() (string, error) {
	if r.Path != "" {
		if err := unix.Mount(r.Path, r.Path, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return "", fmt.Errorf("mount the root directory %s: %w", r.Path, err)
		}
		return r.Path, nil
	}
	if len(r.Lowers) == 0 {
		return "", errors.New("the container has no root file system: neither layers nor a directory")
	}
	if r.Upper == "" && len(r.Lowers) == 1 {
		// overlayfs wants two layers or one that can be written
		return r.Lowers[0], bindReadOnly(r.Lowers[0])
	}
	at := r.Lowers[0]
	if r.Upper != "" {
		at = r.Upper
	}
	if err := r.mountOverlay(at); err != nil {
		return "", fmt.Errorf("mount the overlay of %d layers: %w", len(r.Lowers), err)
	}
	if r.Upper != "" {
		if err := r.writable(at); err != nil {
			return "", fmt.Errorf("mount the overlay of %d layers: %w", len(r.Lowers), err)
		}
	}
	return at, nil
}

// writable sees that the overlay at a directory can be written. It cannot where
// overlayfs had no room for what it makes in the work directory: it says
// nothing then, and mounts what can only be read.
func (r RootFS) writable(at string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil || st.Flags&unix.ST_RDONLY == 0 {
		return err
	}
	probe := path.Join(r.Work, "probe")
	if err := unix.Mkdir(probe, 0o700); err != nil {
		return fmt.Errorf("make its work directory: %w", err)
	}
	_ = unix.Rmdir(probe)
	return fmt.Errorf("make its work directory: %w", unix.ENOSPC) // there is room by now
}

// dirs are the directories to show with other owners: the upper and the work
// directory have to be on one mount, that of the directory above both.
func (r RootFS) dirs() []string {
	dirs := slices.Clone(r.Lowers)
	if r.Upper != "" {
		dirs = append(dirs, path.Dir(r.Upper))
	}
	return dirs
}

// mountOverlay mounts the overlay. One page has to hold all options, so where
// the paths are too long it names the layers by number: as descriptors, with
// /proc/self/fd as the working directory, which is this thread's own.
func (r RootFS) mountOverlay(at string) error {
	dirs := append(slices.Clone(r.Lowers), r.Upper, r.Work)
	if options := r.overlayOptions(dirs); len(options) < os.Getpagesize() {
		return unix.Mount("overlay", at, "overlay", 0, options)
	}
	for i, dir := range dirs {
		if dir == "" {
			continue
		}
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open the layer %s: %w", dir, err)
		}
		defer unix.Close(fd)
		dirs[i] = strconv.Itoa(fd)
	}
	if err := unix.Chdir("/proc/self/fd"); err != nil {
		return err
	}
	options := r.overlayOptions(dirs)
	if len(options) >= os.Getpagesize() {
		return errors.New("more layers than one mount can name")
	}
	return unix.Mount("overlay", at, "overlay", 0, options)
}

// overlayOptions takes the lower directories and, last, the upper and the work
// directory.
func (r RootFS) overlayOptions(dirs []string) string {
	n := len(dirs) - 2
	lowers := make([]string, n)
	for i, dir := range dirs[:n] {
		lowers[i] = escapeOption(dir)
	}
	options := "lowerdir=" + strings.Join(lowers, ":")
	if dirs[n] != "" {
		options += ",upperdir=" + escapeOption(dirs[n]) + ",workdir=" + escapeOption(dirs[n+1])
		if r.Volatile {
			options += ",volatile"
		}
	}
	return options
}

func bindReadOnly(dir string) error {
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount the layer: %w", err)
	}
	return unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

func escapeOption(s string) string {
	return strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace(s)
}

// pivot makes the directory root, a mount point, the root of the child and of
// all who are in its mount namespace, and drops the old root with everything
// mounted on it.
func (p *program) pivot(root int) {
	p.add("enter the root file system", must, unix.SYS_FCHDIR, uintptr(root))
	// The new root stacks on the old one at ".", and the old one is then the
	// one that "." finds when it is unmounted (pivot_root(2), NOTES).
	here := p.str(".")
	p.add("pivot_root", must, unix.SYS_PIVOT_ROOT, here, here)
	// What is unmounted of it goes nowhere else: no mount of it is shared.
	p.add("drop the old root", must, unix.SYS_UMOUNT2, here, unix.MNT_DETACH)
	p.add("enter the root", must, unix.SYS_CHDIR, p.str("/"))
}

// InMountNS mounts root in a mount namespace that only fn sees and calls fn
// with a descriptor of its top directory. It is for work on an image's files
// outside a container: the mount is gone when fn returns, come what may. fn
// runs on a thread whose working directory is its own, and must not hand work
// to other goroutines that depends on the mount being visible by path.
func InMountNS(root RootFS, fn func(root *os.File) error) error {
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make a mount namespace: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("make the mounts private: %w", err)
		}
		dir, err := root.mount()
		if err != nil {
			return err
		}
		f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		return fn(f)
	})
}
