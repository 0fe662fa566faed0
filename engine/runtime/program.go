package runtime

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A program is what a forked child does between fork and execve: a list of
// system calls whose arguments were all made before the fork. The child of a
// process with several threads may not allocate, lock or grow its stack, so
// there is nothing in it but this list and the loop that walks it.
type program struct {
	ops   []op
	steps []string // what each op is for, for the error text
	keep  []any    // memory that ops point to
}

// op is one system call. Its arguments are plain numbers, so that the child
// copies no pointer.
type op struct {
	nr   uintptr
	args [6]uintptr
	rule rule
}

type rule uint8

const (
	must    rule = iota // a failure ends the child
	may                 // a failure is of no consequence
	one                 // must return 1: a byte read from or written to a pipe
	attempt             // an execve: not found here, go on with the next
)

func (p *program) add(step string, r rule, nr uintptr, args ...uintptr) {
	o := op{nr: nr, rule: r}
	copy(o.args[:], args)
	p.ops = append(p.ops, o)
	p.steps = append(p.steps, step)
}

// ptr is the address of the first of items, which stay where they are.
func ptr[T any](p *program, items []T) uintptr {
	if len(items) == 0 {
		return 0
	}
	p.keep = append(p.keep, items)
	return uintptr(unsafe.Pointer(&items[0]))
}

// str is the address of s as a C string. A NUL inside s ends it there; callers
// refuse such strings before.
func (p *program) str(s string) uintptr {
	return ptr(p, append([]byte(s), 0))
}

// strs is the address of a NULL-terminated vector of C strings.
func (p *program) strs(list []string) uintptr {
	vector := make([]uintptr, 0, len(list)+1)
	for _, s := range list {
		vector = append(vector, p.str(s))
	}
	return ptr(p, append(vector, 0))
}

// verdict is what a child that fails writes to its parent.
type verdict struct {
	op    uint32
	errno uint32
}

// cloneArgs is struct clone_args of clone3(2).
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

//go:linkname runtimeBeforeFork syscall.runtime_BeforeFork
func runtimeBeforeFork()

//go:linkname runtimeAfterFork syscall.runtime_AfterFork
func runtimeAfterFork()

//go:linkname runtimeAfterForkInChild syscall.runtime_AfterForkInChild
func runtimeAfterForkInChild()

// fork starts a child that runs p and reports a failure on the descriptor
// errFD (which must be close-on-exec). The child has its own copy of this
// process's memory.
func (p *program) fork(args *cloneArgs, errFD int) (pid int, err error) {
	pid, errno := forkAndRun(args, &p.ops[0], len(p.ops), uintptr(errFD))
	runtime.KeepAlive(p)
	if errno != 0 {
		return 0, errno
	}
	return pid, nil
}

//go:norace
//go:noinline
func forkAndRun(args *cloneArgs, ops *op, n int, errFD uintptr) (int, unix.Errno) {
	var v verdict
	runtimeBeforeFork()
	pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0)
	if errno != 0 || pid != 0 {
		runtimeAfterFork()
		return int(pid), errno
	}
	runtimeAfterForkInChild()
	runOps(ops, n, errFD, &v)
	return 0, 0 // not reached
}

//go:norace
//go:nosplit
//go:noinline
func runOps(ops *op, n int, errFD uintptr, v *verdict) {
	var missed, found unix.Errno
	missedAt, foundAt := 0, 0
	for i := 0; i < n; i++ {
		o := (*op)(unsafe.Add(unsafe.Pointer(ops), uintptr(i)*unsafe.Sizeof(*ops)))
		r1, _, errno := unix.RawSyscall6(o.nr, o.args[0], o.args[1], o.args[2], o.args[3], o.args[4], o.args[5])
		switch o.rule {
		case may:
		case one:
			if r1 != 1 {
				fail(errFD, v, i, errno)
			}
		case attempt:
			if errno == unix.ENOENT || errno == unix.ENOTDIR {
				missed, missedAt = errno, i
			} else if found == 0 {
				found, foundAt = errno, i
				if errno != unix.EACCES {
					fail(errFD, v, i, errno)
				}
			}
		default:
			if errno != 0 {
				fail(errFD, v, i, errno)
			}
		}
	}
	if found != 0 {
		fail(errFD, v, foundAt, found)
	}
	fail(errFD, v, missedAt, missed)
}

//go:norace
//go:nosplit
//go:noinline
func fail(errFD uintptr, v *verdict, i int, errno unix.Errno) {
	v.op, v.errno = uint32(i), uint32(errno)
	unix.RawSyscall(unix.SYS_WRITE, errFD, uintptr(unsafe.Pointer(v)), unsafe.Sizeof(*v))
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 127, 0, 0)
	}
}
