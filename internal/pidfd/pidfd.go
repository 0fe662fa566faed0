// Package pidfd waits for processes by their pidfds, without a thread for
// each of them: the runtime's poller does it.
package pidfd

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"compose/internal/procstat"
)

// Wait waits until a child of ours has ended, reaps it and says how it ended.
func Wait(f *os.File) (syscall.WaitStatus, error) { return wait(f, unix.WEXITED) }

// Peek is Wait without the reaping: the kernel keeps the status until Reap,
// so that a crash of ours in between loses nothing.
func Peek(f *os.File) (syscall.WaitStatus, error) { return wait(f, unix.WEXITED|unix.WNOWAIT) }

// Reap lets the kernel forget a child that has ended.
func Reap(f *os.File) error {
	var info siginfo
	for {
		_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_PIDFD, f.Fd(), uintptr(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOHANG, 0, 0)
		switch errno {
		case unix.EINTR:
		case 0:
			return nil
		default:
			return fmt.Errorf("reap a process: %w", errno)
		}
	}
}

func wait(f *os.File, options uintptr) (syscall.WaitStatus, error) {
	var status syscall.WaitStatus
	err := poll(f, time.Time{}, func(fd int) (bool, error) {
		var info siginfo
		for {
			_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_PIDFD, uintptr(fd), uintptr(unsafe.Pointer(&info)), options|unix.WNOHANG, 0, 0)
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

// exitInfo is PIDFD_INFO_EXIT of linux/pidfd.h.
const exitInfo = 1 << 3

// Exit says how a process ended that need not be our child, as soon as it has.
// Until its parent reaps it /proc tells; afterwards the kernel does (since Linux
// 6.15) if the pidfd, or a copy of it, has been open since before. It gives up
// after a while, and at once where it can no longer be known.
func Exit(f *os.File, pid int, within time.Duration) (status syscall.WaitStatus, ok bool) {
	err := poll(f, time.Now().Add(within), func(fd int) (bool, error) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		switch n, err := unix.Poll(p, 0); {
		case err != nil && err != unix.EINTR:
			return false, err
		case n == 0: // it runs
			return false, nil
		}
		if status, ok = zombie(fd, pid); ok {
			return true, nil
		}
		info := unix.PidfdInfo{Mask: exitInfo}
		if err := unix.IoctlPidfdInfo(fd, &info); err != nil {
			return false, err
		}
		if info.Mask&exitInfo == 0 {
			return false, nil
		}
		status, ok = syscall.WaitStatus(info.Exit_code), true
		return true, nil
	})
	return status, err == nil && ok
}

// zombie says how a process ended that nobody has reaped yet.
func zombie(fd, pid int) (status syscall.WaitStatus, ok bool) {
	fields := procstat.Fields(pid)
	if len(fields) <= procstat.Exit || fields[procstat.State] != "Z" {
		return 0, false
	}
	code, err := strconv.ParseUint(fields[procstat.Exit], 10, 32)
	// The number was not another's meanwhile if the process still has it.
	return syscall.WaitStatus(code), err == nil && unix.PidfdSendSignal(fd, 0, nil, 0) == nil
}

// Ended waits until any process, also one that is not our child, has ended.
func Ended(f *os.File) error {
	return poll(f, time.Time{}, func(fd int) (bool, error) {
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
// says that it is done or, where there is one, until the deadline.
func poll(f *os.File, deadline time.Time, check func(fd int) (bool, error)) error {
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
	if err := p.SetReadDeadline(deadline); err != nil {
		return err
	}
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
