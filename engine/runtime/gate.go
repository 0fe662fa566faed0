package runtime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// ParseResult reads what a container's process wrote to Gate.Result. Nothing
// says that its program runs; else the process is gone and the error tells
// why, as that of Container.Start does.
func ParseResult(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if len(data) < 8 {
		return errors.New("the container's process ended in the middle of its report")
	}
	errno, kind := unix.Errno(binary.NativeEndian.Uint32(data)), rule(binary.NativeEndian.Uint32(data[4:]))
	step := string(data[8:])
	switch {
	case kind != attempt:
		return &stepError{step, errno}
	case errno == 0:
		errno = unix.ENOENT
	}
	missing := errno == unix.ENOENT || errno == unix.ENOTDIR
	switch {
	case missing && !strings.Contains(step, "/"):
		return notFound(step, errno)
	case missing:
		return &ExecError{CodeNotFound, fmt.Sprintf("exec: %q: stat %s: %v", step, step, errno), errno}
	}
	return notExecutable(step, errno)
}

// InNamespaces calls fn on a thread that is in all namespaces of the process
// pid, but for its user namespace: what fn forks there is, too.
func InNamespaces(pid int, fn func() error) error {
	return onThread(func() error {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return fmt.Errorf("find the container's process: %w", err)
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, execNamespaces|unix.CLONE_NEWCGROUP); err != nil {
			return fmt.Errorf("enter the container: %w", err)
		}
		return fn()
	})
}
