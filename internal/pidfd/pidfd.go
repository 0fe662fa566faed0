// Package pidfd waits for processes by their pidfds, without a thread for
// each of them: the runtime's poller does it.
package pidfd

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Wait waits until a child of ours has ended, reaps it and says how it ended.
func Wait(f *os.File) (syscall.WaitStatus, error) {
	var status syscall.WaitStatus
	err := poll(f, func(fd int) (bool, error) {
		var info siginfo
		for {
			_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_PIDFD, uintptr(fd), uintptr(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOHANG, 0, 0)
			if errno == unix.EINTR {
				continue
			}
			if errno == unix.EAGAIN {
				return false, nil
			}
			if errno != 0 {
				return false, fmt.Errorf("wait for a process: %w", errno)
			}
			break
		}
		if info.pid == 0 {
			return false, nil
		}
		status = info.waitStatus()
		return true, nil
	})
	return status, err
}

// Ended waits until any process, also one that is not our child, has ended.
func Ended(f *os.File) error {
	return poll(f, func(fd int) (bool, error) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			n, err := unix.Poll(p, 0)
			if err == unix.EINTR {
				continue
			}
			return n > 0, err
		}
	})
}

// poll calls check now and whenever the pidfd has become readable, until it
// says that it is done.
func poll(f *os.File, check func(fd int) (bool, error)) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	copied := -1
	if err := raw.Control(func(fd uintptr) { copied, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(copied, true); err != nil {
		unix.Close(copied)
		return err
	}
	p := os.NewFile(uintptr(copied), "pidfd")
	defer p.Close()
	if raw, err = p.SyscallConn(); err != nil {
		return err
	}
	var checkErr error
	err = raw.Read(func(fd uintptr) bool {
		var done bool
		done, checkErr = check(int(fd))
		return done || checkErr != nil
	})
	if checkErr != nil {
		return checkErr
	}
	return err
}
