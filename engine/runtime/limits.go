package runtime

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var rlimitNumbers = map[string]uintptr{
	"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_CPU": unix.RLIMIT_CPU, "RLIMIT_DATA": unix.RLIMIT_DATA,
	"RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS, "RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK,
	"RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE,
	"RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_RSS": unix.RLIMIT_RSS, "RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO,
	"RLIMIT_RTTIME": unix.RLIMIT_RTTIME, "RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING, "RLIMIT_STACK": unix.RLIMIT_STACK,
}

// defaultNoFile is the soft limit of open files where the Spec sets none. The
// Go runtime raises our own, which is not the container's to inherit.
const defaultNoFile = 1024

// rlimits adds the resource limits. One above our own hard limit needs
// CAP_SYS_RESOURCE, which not every host grants: it is cut to ours then.
func (l *launch) rlimits(list []specs.POSIXRlimit) error {
	p := &l.program
	set := func(number uintptr, soft, hard uint64) {
		limit := ptr(p, []unix.Rlimit{{Cur: soft, Max: hard}})
		p.add("set a resource limit", must, unix.SYS_PRLIMIT64, 0, number, limit, 0)
	}
	noFile := false
	for _, r := range list {
		number, ok := rlimitNumbers[r.Type]
		if !ok {
			return fmt.Errorf("unknown resource limit %q", r.Type)
		}
		noFile = noFile || number == unix.RLIMIT_NOFILE
		var own unix.Rlimit
		if err := unix.Getrlimit(int(number), &own); err != nil {
			return err
		}
		if r.Soft > r.Hard {
			return fmt.Errorf("the resource limit %s has a soft value (%d) above the hard one (%d)", r.Type, r.Soft, r.Hard)
		}
		if r.Hard > own.Max && boundingSet()&(1<<unix.CAP_SYS_RESOURCE) == 0 {
			l.warnings = append(l.warnings, fmt.Sprintf("%s stays at %d: this host does not let us raise it to %d", r.Type, own.Max, r.Hard))
			r.Hard = own.Max
		}
		set(number, min(r.Soft, r.Hard), r.Hard)
	}
	if !noFile {
		var own unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
			return err
		}
		set(unix.RLIMIT_NOFILE, min(defaultNoFile, own.Max), own.Max)
	}
	return nil
}

var ownOOMScore = sync.OnceValue(func() int {
	data, _ := os.ReadFile("/proc/self/oom_score_adj")
	n, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return n
})

// setOOMScore sets how likely the process is chosen when memory runs out, and
// returns what to say where it could not: below our own value it takes
// CAP_SYS_RESOURCE.
func setOOMScore(pid int, adj *int) string {
	if adj == nil || *adj == ownOOMScore() {
		return ""
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(strconv.Itoa(*adj)), 0); err != nil {
		return fmt.Sprintf("oom_score_adj stays at %d: this host does not let us set it to %d", ownOOMScore(), *adj)
	}
	return ""
}
