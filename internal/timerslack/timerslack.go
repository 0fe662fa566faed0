// Package timerslack is about how late the kernel may wake a thread whose sleep
// has ended (timer slack in prctl(2)).
//
// For processes of ours it is 4 ms, which the binary's entry point sees to: one
// thread of the Go runtime does nothing but sleep for 20 us and look around as
// long as others are busy, which with the usual slack of 50 us takes a tenth of
// the time in which a project comes up. What it looks for is who has had a
// processor for 10 ms, and whose system call keeps one from others: that is seen
// a few milliseconds later, which costs less, even where there is one processor.
// No timer of ours is as fine as that. Every thread and process inherits the
// slack, so that programs which are not ours have it set back.
package timerslack

import (
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	Usual = 50_000    // ns, what the kernel begins with
	ours  = 4_000_000 // ns, as in the entry point
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
