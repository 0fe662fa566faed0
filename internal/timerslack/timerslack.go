// Package timerslack is about how late the kernel may wake a thread whose sleep
// has ended (timer slack in prctl(2)).
//
// For processes of ours it is 200 us, which the binary's entry point sees to: one
// thread of the Go runtime does nothing but sleep for 20 us and look around as
// long as others are busy. With the usual slack of 50 us its waking up takes a
// twentieth of the time in which a large project comes up. Every thread and
// process inherits it, so that programs which are not ours have it set back.
package timerslack

import (
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	Usual = 50_000  // ns, what the kernel begins with
	ours  = 200_000 // ns, as in the entry point
)

// Outside runs start, which starts a program that is not ours, with the usual
// slack, and returns its error.
func Outside(start func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if unix.Prctl(unix.PR_SET_TIMERSLACK, Usual, 0, 0, 0) == nil {
		defer unix.Prctl(unix.PR_SET_TIMERSLACK, ours, 0, 0, 0)
	}
	return start()
}
