// Package headroom has the Go heap grow over memory in huge pages. A process
// that is about to fill it, and not to live for long or in a hurry, gets it then
// in a few page faults, where page by page it is thousands: they are a fifth of
// the time that a command takes to load a large file.
package headroom

import (
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"compose/internal/resident"
)

const (
	size     = 16 << 20 // by how many bytes the heap grows
	hugePage = 2 << 20
	chunk    = 4 << 20 // what the heap grows by at least
	pageSize = 4 << 10
)

// far has a frame that makes its goroutine's stack grow to size, and returns the
// lower end of the frame.
func far() uintptr

// room is what Make has got; nil: nothing, or it is settled.
var room atomic.Pointer[region]

type region struct{ from, to uintptr }

// Make makes room for what is allocated from now on, unless it has. The runtime
// takes a large stack from the heap, does not write to it, and gives it back when
// its goroutine ends; no other memory does it hand out untouched and take back
// without a collection. The chunk that the heap is in by now has small pages
// already: it gets the rest of them at once. Where the kernel has no huge pages to
// give, all is as it would be without.
func Make() {
	if room.Load() != nil {
		return
	}
	made := make(chan struct{})
	go func() {
		defer close(made)
		here := uintptr(unsafe.Pointer(new([pageSize]byte))) &^ (pageSize - 1)
		from := far() &^ (hugePage - 1)
		to := from + size
		if end := (here + chunk - 1) &^ (chunk - 1); end < to {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, here, end-here, unix.MADV_POPULATE_WRITE)
			from = max(from, end)
		}
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_HUGEPAGE)
		room.Store(&region{from, to})
	}()
	<-made
}

// Settle is for who lives on: it gives back garbage, what of the room is empty, and
// what of the binary has been used. From now on what the runtime gives back stays
// with the kernel, which would make whole huge pages again of those that have a
// single page left (khugepaged).
func Settle() {
	if r := room.Swap(nil); r != nil {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, r.from, r.to-r.from, unix.MADV_NOHUGEPAGE)
	}
	debug.FreeOSMemory()
	resident.Unmap()
}
