package runtime

import (
	"fmt"

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
// CAP_SYS_RESOURCE, which not every host grants: it stays what it is then.
func (p *program) rlimits(list []specs.POSIXRlimit) error {
	set := func(number uintptr, soft, hard uint64) {
		limit := ptr(p, []unix.Rlimit{{Cur: soft, Max: hard}})
		p.add("set a resource limit", may, unix.SYS_PRLIMIT64, 0, number, limit, 0)
	}
	noFile := false
	for _, l := range list {
		number, ok := rlimitNumbers[l.Type]
		if !ok {
			return fmt.Errorf("unknown resource limit %q", l.Type)
		}
		noFile = noFile || number == unix.RLIMIT_NOFILE
		set(number, l.Soft, l.Hard)
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
