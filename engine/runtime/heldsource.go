package runtime

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// heldPrefix begins a source that is an open file of ours.
const heldPrefix = "/proc/self/fd/"

// openSource opens what is to be mounted. An open file was opened among the
// mounts of the host, of which the kernel clones nothing here: it is opened
// once more among the container's own, and has to be the same.
func openSource(source string) (int, error) {
	if !strings.HasPrefix(source, heldPrefix) {
		return unix.Open(source, unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	var held, found unix.Stat_t
	if err := unix.Stat(source, &held); err != nil {
		return -1, err
	}
	path, err := os.Readlink(source)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return -1, err
	}
	if err := unix.Fstat(fd, &found); err != nil || found.Dev != held.Dev || found.Ino != held.Ino {
		unix.Close(fd)
		return -1, fmt.Errorf("%s is not what it was a moment ago", path)
	}
	return fd, nil
}

// Detached is the option of a bind mount whose source, an open file of ours, is
// the mount itself: attached nowhere yet, and used up by it.
const Detached = "detached"

// HeldMount is a descriptor of the mount that a source with Detached is.
func HeldMount(source string) (int, error) {
	fd, err := strconv.Atoi(strings.TrimPrefix(source, heldPrefix))
	if err != nil {
		return -1, err
	}
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
}

// PeerMount copies what a container's process sees at a path, for another
// container to mount by Detached. The kernel copies no mounts of namespaces but
// the one that the caller is in.
func PeerMount(pid int, path string) (*os.File, error) {
	var tree int
	err := onThread(func() error {
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
		if err != nil {
			return err
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
			return err
		}
		tree, err = unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open %s of process %d: %w", path, pid, err)
	}
	return os.NewFile(uintptr(tree), path), nil
}
