package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// overheardName is what this program is called to run another whose system
// calls, some of them, are told to a listener. Its first argument is their
// numbers.
const overheardName = "e2e-overheard"

// Not all of these are in the package unix.
const (
	notifyReceive  = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV
	notifySend     = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND
	notifyContinue = 1          // SECCOMP_USER_NOTIF_FLAG_CONTINUE
)

type notification struct {
	id         uint64
	pid, flags uint32
	nr         int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type notificationReply struct {
	id    uint64
	val   int64
	err   int32
	flags uint32
}

// becomeOverheard puts a filter on this process, and all that it becomes and
// starts, that has the kernel ask before it carries these calls out, hands the
// descriptor where it asks to the parent over descriptor 3, and becomes the
// given program. Of clone, the call, it asks for processes and not for threads.
func becomeOverheard(args []string) int {
	runtime.LockOSThread()
	argv := args[1:]
	var filter []unix.SockFilter
	add := func(code uint16, k uint32, yes, no uint8) {
		filter = append(filter, unix.SockFilter{Code: code, K: k, Jt: yes, Jf: no})
	}
	ask := func() { add(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_USER_NOTIF, 0, 0) }
	allow := func() { add(unix.BPF_RET|unix.BPF_K, unix.SECCOMP_RET_ALLOW, 0, 0) }
	add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0, 0, 0) // the number of the call
	for _, text := range strings.Split(args[0], ",") {
		nr, _ := strconv.Atoi(text)
		if nr != unix.SYS_CLONE {
			add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, uint32(nr), 0, 1)
			ask()
			continue
		}
		add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, uint32(nr), 0, 4)
		add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 16, 0, 0) // the lower half of its flags
		add(unix.BPF_JMP|unix.BPF_JSET|unix.BPF_K, unix.CLONE_THREAD, 0, 1)
		allow()
		ask()
	}
	allow()
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		fmt.Fprintln(os.Stderr, "set the filter:", errno)
		return 1
	}
	if err := unix.Sendmsg(3, []byte("listener"), unix.UnixRights(int(fd)), nil, 0); err != nil {
		fmt.Fprintln(os.Stderr, "hand the listener over:", err)
		return 1
	}
	unix.CloseOnExec(int(fd))
	unix.CloseOnExec(3)
	fmt.Fprintln(os.Stderr, "run it:", syscall.Exec(argv[0], argv, os.Environ()))
	return 1
}

// listener is where the kernel asks for the calls of one command and all that
// descends from it.
type listener struct{ fd int }

// overhear starts a command whose calls of these numbers are asked for.
func overhear(t testing.TB, cmd *exec.Cmd, calls ...int) *listener {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "listener")
	defer unix.Close(pair[0])
	numbers := strings.ReplaceAll(strings.Trim(fmt.Sprint(calls), "[]"), " ", ",")
	cmd.Args = append([]string{overheardName, numbers, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/proc/self/exe"
	cmd.ExtraFiles = []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(pair[0], make([]byte, 16), oob, unix.MSG_CMSG_CLOEXEC)
	var fds []int
	if err == nil && n > 0 {
		messages, _ := unix.ParseSocketControlMessage(oob[:n])
		fds, err = unix.ParseUnixRights(&messages[0])
	}
	if err != nil || len(fds) != 1 {
		t.Fatalf("no listener: %v, %v", err, cmd.Wait())
	}
	return &listener{fds[0]}
}

func (l *listener) close() { unix.Close(l.fd) }

// next is the next call that is asked for, if there is one within a moment.
func (l *listener) next() (*notification, bool) {
	p := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
	if n, _ := unix.Poll(p, 20); n == 0 || p[0].Revents&unix.POLLIN == 0 {
		if p[0].Revents&unix.POLLHUP != 0 {
			time.Sleep(time.Millisecond) // it ends just now
		}
		return nil, false
	}
	ask := new(notification)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(l.fd), notifyReceive, uintptr(unsafe.Pointer(ask)))
	return ask, errno == 0 // it may have been killed meanwhile
}

// answer lets the call go on, or fail.
func (l *listener) answer(ask *notification, fail syscall.Errno) {
	reply := notificationReply{id: ask.id, err: -int32(fail)}
	if fail == 0 {
		reply.flags = notifyContinue
	}
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(l.fd), notifySend, uintptr(unsafe.Pointer(&reply)))
}
