// Command probe runs inside a container and says what the kernel answers to
// the system calls that a container has no business with: a line "name errno"
// each, "ok" where one succeeded. With arguments it is one of the tools of
// tools.go.
package main

import (
	"fmt"
	"os"
	"sort"
	"unsafe"

	"golang.org/x/sys/unix"
)

// call is a system call with arguments that do nothing even where it is allowed.
type call struct {
	nr   uintptr
	args [5]uintptr
}

var zero [512]byte

// calls are those of the families that Docker's profile keeps from a container
// without further capabilities.
func calls() map[string]call {
	at := uintptr(unsafe.Pointer(&zero[0]))
	none := ^uintptr(0)
	return map[string]call{
		// kernel modules and another kernel
		"init_module": {unix.SYS_INIT_MODULE, [5]uintptr{}}, "finit_module": {unix.SYS_FINIT_MODULE, [5]uintptr{none}},
		"delete_module": {unix.SYS_DELETE_MODULE, [5]uintptr{at}}, "kexec_load": {unix.SYS_KEXEC_LOAD, [5]uintptr{}},
		"reboot": {unix.SYS_REBOOT, [5]uintptr{}},
		// mounts, old and new
		"mount": {unix.SYS_MOUNT, [5]uintptr{}}, "umount2": {unix.SYS_UMOUNT2, [5]uintptr{at}}, "pivot_root": {unix.SYS_PIVOT_ROOT, [5]uintptr{at, at}},
		"open_tree": {unix.SYS_OPEN_TREE, [5]uintptr{none, at}}, "move_mount": {unix.SYS_MOVE_MOUNT, [5]uintptr{none, at, none, at}},
		"fsopen": {unix.SYS_FSOPEN, [5]uintptr{at}}, "fsconfig": {unix.SYS_FSCONFIG, [5]uintptr{none}}, "fsmount": {unix.SYS_FSMOUNT, [5]uintptr{none}},
		"fspick": {unix.SYS_FSPICK, [5]uintptr{none, at}}, "mount_setattr": {unix.SYS_MOUNT_SETATTR, [5]uintptr{none, at}},
		"swapon": {unix.SYS_SWAPON, [5]uintptr{at}}, "swapoff": {unix.SYS_SWAPOFF, [5]uintptr{at}}, "quotactl": {unix.SYS_QUOTACTL, [5]uintptr{}},
		// namespaces
		"unshare user": {unix.SYS_UNSHARE, [5]uintptr{unix.CLONE_NEWUSER}}, "setns": {unix.SYS_SETNS, [5]uintptr{none}},
		"clone user": {unix.SYS_CLONE, [5]uintptr{unix.CLONE_NEWUSER | unix.CLONE_SIGHAND}}, "clone3": {unix.SYS_CLONE3, [5]uintptr{at, 8}},
		// keys, which belong to no namespace
		"add_key": {unix.SYS_ADD_KEY, [5]uintptr{}}, "request_key": {unix.SYS_REQUEST_KEY, [5]uintptr{}},
		"keyctl": {unix.SYS_KEYCTL, [5]uintptr{unix.KEYCTL_GET_KEYRING_ID, 0}},
		// tracing and other processes' memory
		"bpf": {unix.SYS_BPF, [5]uintptr{none}}, "perf_event_open": {unix.SYS_PERF_EVENT_OPEN, [5]uintptr{}}, "userfaultfd": {unix.SYS_USERFAULTFD, [5]uintptr{none}},
		"kcmp": {unix.SYS_KCMP, [5]uintptr{1, 1, none}}, "pidfd_getfd": {unix.SYS_PIDFD_GETFD, [5]uintptr{none}},
		"process_madvise": {unix.SYS_PROCESS_MADVISE, [5]uintptr{none}}, "io_uring_setup": {unix.SYS_IO_URING_SETUP, [5]uintptr{}},
		"io_uring_enter": {unix.SYS_IO_URING_ENTER, [5]uintptr{none}}, "io_uring_register": {unix.SYS_IO_URING_REGISTER, [5]uintptr{none}},
		// files by handle, file events of everybody
		"open_by_handle_at": {unix.SYS_OPEN_BY_HANDLE_AT, [5]uintptr{none}}, "fanotify_init": {unix.SYS_FANOTIFY_INIT, [5]uintptr{}},
		// the clock and accounting
		"settimeofday": {unix.SYS_SETTIMEOFDAY, [5]uintptr{1}}, "clock_settime": {unix.SYS_CLOCK_SETTIME, [5]uintptr{none}}, "acct": {unix.SYS_ACCT, [5]uintptr{1}},
		"syslog": {unix.SYS_SYSLOG, [5]uintptr{10}}, "sethostname": {unix.SYS_SETHOSTNAME, [5]uintptr{1, 1}}, "setdomainname": {unix.SYS_SETDOMAINNAME, [5]uintptr{1, 1}},
		"vhangup": {unix.SYS_VHANGUP, [5]uintptr{}},
		// where memory lies
		"mbind": {unix.SYS_MBIND, [5]uintptr{1}}, "set_mempolicy": {unix.SYS_SET_MEMPOLICY, [5]uintptr{none}}, "get_mempolicy": {unix.SYS_GET_MEMPOLICY, [5]uintptr{0, 0, 0, 0, none}},
		"migrate_pages": {unix.SYS_MIGRATE_PAGES, [5]uintptr{none}}, "move_pages": {unix.SYS_MOVE_PAGES, [5]uintptr{none}},
		// emulation of other systems, and kinds of sockets that lead out
		"personality": {unix.SYS_PERSONALITY, [5]uintptr{0x0040000}}, "socket vsock": {unix.SYS_SOCKET, [5]uintptr{unix.AF_VSOCK, unix.SOCK_STREAM}},
		"socket alg": {unix.SYS_SOCKET, [5]uintptr{unix.AF_ALG, unix.SOCK_SEQPACKET}},
		"unheard of": {10000, [5]uintptr{}},
	}
}

func main() {
	if len(os.Args) > 1 {
		tool(os.Args[1], os.Args[2:])
		return
	}
	all := calls()
	for name, c := range ofArch() {
		all[name] = c
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		c := all[name]
		_, _, errno := unix.RawSyscall6(c.nr, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], 0)
		answer := "ok"
		if errno != 0 {
			answer = unix.ErrnoName(errno)
		}
		fmt.Println(name, answer)
	}
}
