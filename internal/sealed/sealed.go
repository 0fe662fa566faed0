// Package sealed opens the running binary so that nobody can write to it.
package sealed

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Exe opens the running binary behind a read-only mount that belongs to
// no namespace. A process executed from it shows a /proc/<pid>/exe that nobody
// can open for writing, not even root in a container (CVE-2019-5736). The file
// is open for O_PATH; execute it with execveat(2) and AT_EMPTY_PATH, or by
// /proc/self/fd.
func Exe() (*os.File, error) {
	tree, err := unix.OpenTree(unix.AT_FDCWD, "/proc/self/exe", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err == unix.EINVAL {
		// Older kernels do not clone a mount that belongs to no namespace,
		// which is what we run from if we are sealed ourselves.
		return already()
	}
	if err != nil {
		return nil, fmt.Errorf("seal our own binary: %w", err)
	}
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV})
	if err == nil {
		return os.NewFile(uintptr(tree), "exe"), nil
	}
	unix.Close(tree)
	if err == unix.ENOSYS {
		return inMemory()
	}
	return nil, fmt.Errorf("seal our own binary: %w", err)
}

// inMemory is for kernels before 5.12, which cannot make a mount read-only
// that is attached nowhere: a copy in memory that can never change.
func inMemory() (*os.File, error) {
	memory, err := memoryExe()
	if err != nil {
		return nil, fmt.Errorf("seal our own binary: %w", err)
	}
	fd, err := unix.FcntlInt(memory.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("seal our own binary: %w", err)
	}
	return os.NewFile(uintptr(fd), "exe"), nil
}

var memoryExe = sync.OnceValues(func() (*os.File, error) {
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	defer exe.Close()
	fd, err := unix.MemfdCreate("exe", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	writable := os.NewFile(uintptr(fd), "exe")
	defer writable.Close()
	if _, err := io.Copy(writable, exe); err != nil {
		return nil, err
	}
	seals := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, err
	}
	// What is open for writing cannot be executed.
	return os.Open(Path(fd))
})

// Already says whether we run from a binary that nobody can write: as a
// supervisor does, and a command does not. What a container's process was
// before its execve is what it finds at /proc/self/exe in that execve.
var Already = sync.OnceValue(func() bool {
	if exe, err := already(); err == nil {
		exe.Close()
		return true
	}
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		return false
	}
	defer exe.Close()
	seals, err := unix.FcntlInt(exe.Fd(), unix.F_GET_SEALS, 0)
	return err == nil && seals&unix.F_SEAL_WRITE != 0
})

// Again begins the running program anew from a binary that nobody can write. It
// returns nil where it runs from one already.
func Again() error {
	if Already() {
		return nil
	}
	exe, err := Exe()
	if err != nil {
		return err
	}
	return fmt.Errorf("run our own binary sealed: %w", unix.Exec(Path(int(exe.Fd())), os.Args, os.Environ()))
}

func already() (*os.File, error) {
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

// Path is what a file that is open here is executed by.
func Path(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
