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
// last. They are mapped again, from the page cache, when they run next.
func Unmap() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for _, r := range unchanged(string(maps)) {
		// That one cannot be given back is no matter.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, r.from, r.to-r.from, unix.MADV_DONTNEED)
	}
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
