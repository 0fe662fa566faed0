package runtime

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"compose/internal/deepstack"
)

// onOwnThread runs fn in the background on a thread of its own that ends
// afterwards, so that fn may enter namespaces and change root and working
// directory as it likes. failed is called instead where there is none to be had.
func onOwnThread(fn func(), failed func(error)) {
	go func() {
		deepstack.Grow()
		// Never unlocked: the Go runtime ends a thread whose goroutine leaves locked.
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The process's first thread cannot end before the process, and
			// /proc/self is its view of the world. Hold it while another
			// goroutine finds another thread, then give it back unchanged.
			done := make(chan struct{})
			onOwnThread(func() { defer close(done); fn() }, func(err error) { defer close(done); failed(err) })
			<-done
			runtime.UnlockOSThread()
			return
		}
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			failed(fmt.Errorf("set a thread apart: %w", err))
			return
		}
		unix.Umask(0o022) // what is made in a container is for its users too, whatever ours
		fn()
	}()
}

// onThread is onOwnThread with a wait for the end.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	onOwnThread(func() { done <- fn() }, func(err error) { done <- err })
	return <-done
}
