package netbridge

import (
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"compose/internal/rawfile"
)

// hostNS is the network namespace that the bridges live in: the one of the
// thread that opened the Manager. Usually that is the host's, in which the
// whole process lives; work there then needs no change of thread.
type hostNS struct {
	file   *os.File
	native bool // the process's own namespace
}

func currentNS() (*os.File, error) {
	return rawfile.Open("/proc/thread-self/ns/net", os.O_RDONLY, 0)
}

func openHostNS() (*hostNS, error) {
	f, err := currentNS()
	if err != nil {
		return nil, fmt.Errorf("open the network namespace: %w", err)
	}
	var mine unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &mine); err != nil {
		f.Close()
		return nil, err
	}
	process := processNS()
	return &hostNS{file: f, native: mine.Ino == process.Ino && mine.Dev == process.Dev}, nil
}

// processNS is the namespace that the process began in. The caller's thread may
// be on an errand elsewhere, and so may the process's first one; a new
// goroutine gets one that is not.
var processNS = sync.OnceValue(func() (st unix.Stat_t) {
	var noted sync.WaitGroup
	noted.Go(func() { _ = unix.Stat("/proc/thread-self/ns/net", &st) })
	noted.Wait()
	return st
})

// run calls fn on a thread that is in the namespace.
func (h *hostNS) run(fn func() error) error {
	if h.native {
		return fn()
	}
	return onThread(func() error {
		if err := unix.Setns(int(h.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network namespace: %w", err)
		}
		return fn()
	})
}

// onThread calls fn on a thread of its own, which may change its network
// namespace: it is put back where it was, or dies.
func onThread(fn func() error) error {
	runtime.LockOSThread()
	before, err := currentNS()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open the network namespace: %w", err)
	}
	defer before.Close()
	err = fn()
	if back := unix.Setns(int(before.Fd()), unix.CLONE_NEWNET); back != nil {
		// The goroutine is the caller's and cannot be ended, so the thread
		// stays locked to it; nothing sane is left to do in the wrong place.
		panic("netbridge: cannot go back to the network namespace: " + back.Error())
	}
	runtime.UnlockOSThread()
	return err
}
