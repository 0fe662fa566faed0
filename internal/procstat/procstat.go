// Package procstat reads /proc/<pid>/stat, see proc(5). It imports little: the
// keeper, which uses it, is to initialise before the heavy libraries.
package procstat

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"compose/internal/rawfile"
)

// Places in Fields.
const (
	State   = 0  // "R", "S", "Z", ...
	Parent  = 1  // the parent's number
	Threads = 17 // how many threads there are
	Start   = 19 // when it began, in hundredths of a second since the boot
	Exit    = 49 // how it ended, as wait(2) says it
)

// Fields are those behind the process's name; none where there is no such process.
func Fields(pid int) []string {
	data, err := rawfile.Append(make([]byte, 0, 512), "/proc/"+strconv.Itoa(pid)+"/stat")
	if err != nil {
		return nil
	}
	// The name, in parentheses, may hold anything; count from its end.
	return strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
}

// Age is how long ago a process began, by a clock that nobody sets.
func Age(startTicks uint64) time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) // it always has one
	// The kernel counts in hundredths of a second here on all machines.
	return max(time.Duration(now.Nano())-time.Duration(startTicks)*10*time.Millisecond, 0)
}
