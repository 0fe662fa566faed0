//lint:file-ignore U1000 the assembly and the kernel use what Go code does not

package runtime

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// A program is what a new child does up to execve: a list of system calls
// whose arguments were all made before the fork. The child of a process with
// several threads may not allocate, lock or grow its stack, so there is
// nothing in it but this list and the loop that walks it.
type program struct {
	ops   []op
	steps []string // what each op is for, for the error text
	keep  []any    // memory that ops point to

	// What the child leaves behind.
	at     int        // the op that it came to
	failed bool       // op `at` failed, with errno
	errno  unix.Errno //
	//lint:ignore U1000 runProgram uses it
	missed int // the last execve that found no file, while others are tried

	// Where a failure is told to somebody else than the parent: a descriptor,
	// or -1, and a text for each op.
	report int
	result [2]uint32 // errno and rule
	texts  []text
}

// text is a string for write(2).
type text struct{ at, length uintptr }

// op is one system call. Its arguments are plain numbers, so that the child
// copies no pointer.
type op struct {
	nr   uintptr
	args [6]uintptr
	rule rule
}

type rule uint8

const (
	must      rule = iota // a failure ends the child
	may                   // a failure is of no consequence
	one                   // must return 1: a byte read from or written to a pipe
	present               // like must, but there may be no such file or no such kind of it
	otherwise             // like present, and only where the step before found another kind of file
	opened                // like must, and what it returns is the first argument of the next step
	attempt               // an execve: not found here, go on with the next
	absolute              // no system call: the text at the first argument must start with a slash
	equal                 // no system call: the number at the first argument must be the second
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

// runProgram is the child. It never returns.
//
//lint:ignore U1000 the assembly calls it
//go:norace
//go:nosplit
func runProgram(p *program) {
	n := len(p.ops)
	first := unsafe.Pointer(unsafe.SliceData(p.ops))
	var last, missed, refused unix.Errno
	refusedAt := 0
	for i := 0; i < n; i++ {
		p.at = i
		o := (*op)(unsafe.Add(first, uintptr(i)*unsafe.Sizeof(op{})))
		switch o.rule {
		case absolute:
			if **(**byte)(unsafe.Pointer(&o.args[0])) != '/' {
				fail(p, i, unix.EXDEV)
			}
			continue
		case equal:
			if **(**int64)(unsafe.Pointer(&o.args[0])) != int64(o.args[1]) {
				fail(p, i, unix.EXDEV)
			}
			continue
		case otherwise:
			if last != unix.ENOTDIR {
				continue
			}
		}
		r1, _, errno := unix.RawSyscall6(o.nr, o.args[0], o.args[1], o.args[2], o.args[3], o.args[4], o.args[5])
		last = errno
		switch o.rule {
		case may:
		case one:
			if r1 != 1 {
				fail(p, i, errno)
			}
		case present, otherwise:
			if errno != 0 && errno != unix.ENOENT && errno != unix.ENOTDIR {
				fail(p, i, errno)
			}
		case attempt:
			switch errno {
			case unix.ENOENT, unix.ENOTDIR:
				missed, p.missed = errno, i
			case unix.EACCES:
				if refused == 0 {
					refused, refusedAt = errno, i
				}
			default:
				fail(p, i, errno)
			}
		case opened:
			if errno != 0 {
				fail(p, i, errno)
			}
			(*op)(unsafe.Add(first, uintptr(i+1)*unsafe.Sizeof(op{}))).args[0] = r1
		default:
			if errno != 0 {
				fail(p, i, errno)
			}
		}
	}
	if refused != 0 {
		fail(p, refusedAt, refused)
	}
	fail(p, p.missed, missed)
}

// NeverRan is the exit status of a first process that did not come to run its
// program: a step before failed, or its maker died before it let it go.
const NeverRan = 213

//lint:ignore U1000 runProgram calls it
//go:norace
//go:nosplit
func fail(p *program, i int, errno unix.Errno) {
	p.at, p.failed, p.errno = i, true, errno
	if p.report >= 0 {
		p.result = [2]uint32{uint32(errno), uint32((*op)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(p.ops)), uintptr(i)*unsafe.Sizeof(op{}))).rule)}
		unix.RawSyscall(unix.SYS_WRITE, uintptr(p.report), uintptr(unsafe.Pointer(&p.result)), unsafe.Sizeof(p.result))
		t := (*text)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(p.texts)), uintptr(i)*unsafe.Sizeof(text{})))
		unix.RawSyscall(unix.SYS_WRITE, uintptr(p.report), t.at, t.length)
	}
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, NeverRan, 0, 0)
		unix.RawSyscall(unix.SYS_EXIT, NeverRan, 0, 0) // a seccomp profile may forbid the other
		*(*uintptr)(nil) = 0                           // and both
	}
}
