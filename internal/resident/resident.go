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
	for line := range strings.Lines(string(maps)) {
		from, to, ok := readOnlyFile(line)
		if ok {
			// That one cannot be given back is no matter.
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
}

// readOnlyFile parses a line of /proc/<pid>/maps that is about a file which
// nobody can have changed in memory, like "400000-401000 r-xp 0 fe:00 17 /bin/x".
func readOnlyFile(line string) (from, to uintptr, ok bool) {
	f := strings.Fields(line)
	if len(f) < 5 || f[4] == "0" || f[1] != "r-xp" && f[1] != "r--p" {
		return 0, 0, false
	}
	begin, end, _ := strings.Cut(f[0], "-")
	a, err1 := strconv.ParseUint(begin, 16, 64)
	b, err2 := strconv.ParseUint(end, 16, 64)
	return uintptr(a), uintptr(b), err1 == nil && err2 == nil && a < b
}
