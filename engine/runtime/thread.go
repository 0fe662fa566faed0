package runtime

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// onThread runs fn on a thread of its own that ends afterwards, so that fn may
// enter namespaces and change root and working directory as it likes.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the Go runtime ends a thread whose goroutine leaves locked.
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The process's first thread cannot end before the process, and
			// /proc/self is its view of the world. Hold it while another
			// goroutine finds another thread, then give it back unchanged.
			done <- onThread(fn)
			runtime.UnlockOSThread()
			return
		}
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			done <- err
			return
		}
		done <- fn()
	}()
	return <-done
}
