//lint:file-ignore U1000 the assembly and the kernel use what Go code does not

package runtime

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cloneArgs is struct clone_args of clone3(2).
//
//lint:ignore U1000 the kernel reads them all
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// clearSighand is CLONE_CLEAR_SIGHAND: the child has none of our signal handlers.
const clearSighand = 0x100000000

func rawVfork(args *cloneArgs, p *program) int

//go:linkname enterSyscallBlock runtime.entersyscallblock
func enterSyscallBlock()

//go:linkname exitSyscall runtime.exitsyscall
func exitSyscall()

// vfork makes a child that runs p, and returns once the child has executed a
// program or is gone. The calling goroutine has to be locked to its thread.
//
// The child shares our memory (CLONE_VM) while this thread is halted
// (CLONE_VFORK), as in posix_spawn: nothing is copied however large we are,
// and the child leaves its verdict in p. CLONE_VFORK also tells the kernel's
// OOM killer and oom_score_adj that the memory is not the child's own.
func (p *program) vfork(args *cloneArgs) error {
	args.flags |= unix.CLONE_VM | unix.CLONE_VFORK | clearSighand
	args.exitSignal = uint64(unix.SIGCHLD)
	// No signal may run a handler of ours in the child.
	all, old := ^uint64(0), uint64(0)
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	pid := haltAndFork(args, p)
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
	runtime.KeepAlive(p)
	if pid < 0 {
		return unix.Errno(-pid)
	}
	return nil
}

// haltAndFork gives the Go scheduler's processor back for as long as the
// thread is halted: up to Start, that may be long.
//
//go:norace
//go:nosplit
//go:noinline
func haltAndFork(args *cloneArgs, p *program) int {
	enterSyscallBlock()
	pid := rawVfork(args, p)
	exitSyscall()
	return pid
}
