package runtime

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// SealedExe opens the running binary behind a read-only mount that belongs to
// no namespace. A process executed from it shows a /proc/<pid>/exe that nobody
// can open for writing, not even root in a container (CVE-2019-5736). The file
// is open for O_PATH; execute it with execveat(2) and AT_EMPTY_PATH, or by
// /proc/self/fd.
func SealedExe() (*os.File, error) {
	tree, err := unix.OpenTree(unix.AT_FDCWD, "/proc/self/exe", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err == unix.EINVAL {
		// Older kernels do not clone a mount that belongs to no namespace,
		// which is what we run from if we are sealed ourselves.
		return sealedAlready()
	}
	if err != nil {
		return nil, fmt.Errorf("seal our own binary: %w", err)
	}
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV})
	if err != nil {
		unix.Close(tree)
		return nil, fmt.Errorf("seal our own binary: %w", err)
	}
	return os.NewFile(uintptr(tree), "exe"), nil
}

func sealedAlready() (*os.File, error) {
	exe, err := os.OpenFile("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("seal our own binary: %w", err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(exe.Fd()), &fs); err != nil || fs.Flags&unix.ST_RDONLY == 0 {
		exe.Close()
		return nil, fmt.Errorf("seal our own binary: it lies on a mount that cannot be made read-only")
	}
	return exe, nil
}
