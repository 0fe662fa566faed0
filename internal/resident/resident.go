// Package resident keeps small what a process that waits for long has in
// memory. It imports little: runtime/debug would make the keeper, which uses
// it, initialise after the heavy libraries.
package resident

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Unmap gives back those parts of the binary that were mapped when they ran
// last. They are mapped again, from the page cache, when they run next, and a few
// pages at a time from now on: where the page cache has the binary in pages of 2 MB
// the kernel would map each of them as a whole, of which little is needed. It does so
// where the whole is in one region, so none is any more.
func Unmap() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	list := unchanged(string(maps))
	for _, r := range list {
		for _, at := range r.cuts() {
			advise(region{at, at + pageSize}, unix.MADV_SEQUENTIAL)
		}
	}
	for _, r := range list {
		advise(r, unix.MADV_DONTNEED)
	}
}

// cuts are the pages that are to be regions of their own, so that no other has a
// whole of the largest pages; none where that is so already.
func (r region) cuts() (pages []uintptr) {
	for at := r.from&^(largest-1) + largest/2; at < r.to; at += largest {
		if at > r.from { // or it has been cut here
			pages = append(pages, at)
		}
	}
	return pages
}

const (
	largest  = 2 << 20 // the largest page of a file
	pageSize = 4 << 10
)

// advise does madvise(2). Where that fails all is as it was, which is no matter.
func advise(r region, advice uintptr) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, r.from, r.to-r.from, advice)
}

type region struct{ from, to uintptr }

// unchanged are the regions of the binary, by /proc/<pid>/maps, that nobody can
// have changed in memory. Where there are libraries, as in a test's binary that
// is built with cgo, there are none: the loader has written into parts that are
// read-only by now.
func unchanged(maps string) (list []region) {
	binary := ""
	for line := range strings.Lines(maps) {
		f := strings.Fields(line) // "400000-401000 r-xp 0 fe:00 17 /bin/x"
		if len(f) < 5 || f[4] == "0" {
			continue
		}
		if file := f[3] + " " + f[4]; binary == "" {
			binary = file
		} else if file != binary {
			return nil
		}
		if r, ok := parse(f[0]); ok && (f[1] == "r-xp" || f[1] == "r--p") {
			list = append(list, r)
		}
	}
	return list
}

func parse(text string) (region, bool) {
	begin, end, _ := strings.Cut(text, "-")
	from, err1 := strconv.ParseUint(begin, 16, 64)
	to, err2 := strconv.ParseUint(end, 16, 64)
	return region{uintptr(from), uintptr(to)}, err1 == nil && err2 == nil && from < to
}
