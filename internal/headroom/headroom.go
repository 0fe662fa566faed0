// Package headroom has the Go heap grow over memory in huge pages. A process
// that is about to fill it, and not to live for long or in a hurry, gets it then
// in a few page faults, where page by page it is thousands: they are a fifth of
// the time that a command takes to load a large file.
package headroom

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	size     = 16 << 20 // by how many bytes the heap grows
	hugePage = 2 << 20
)

// far has a frame that makes its goroutine's stack grow to size, and returns the
// lower end of the frame.
func far() uintptr

// room is where the memory is that Make got; 0: nowhere, or it is settled.
var room atomic.Uintptr

// Make makes room for what is allocated from now on, unless it has. The runtime
// takes a large stack from the heap, does not write to it, and gives it back when
// its goroutine ends; no other memory does it hand out untouched and take back
// without a collection. Where the kernel has no huge pages to give, all is as it
// would be without.
func Make() {
	if room.Load() != 0 {
		return
	}
	made := make(chan struct{})
	go func() {
		defer close(made)
		from := far() &^ (hugePage - 1)
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, size, unix.MADV_HUGEPAGE)
		room.Store(from)
	}()
	<-made
}

// Settle is for who lives on. It takes no memory away, but what the runtime gives
// back from now on stays with the kernel, which would make whole huge pages again
// of those that have a single page left (khugepaged).
func Settle() {
	if from := room.Swap(0); from != 0 {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, size, unix.MADV_NOHUGEPAGE)
	}
}
