package keeper

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"compose/internal/entry"
	"compose/internal/sealed"
)

// Order says which project a keeper and its supervisor are for.
type Order struct {
	State, Run string // the two roots
	Project    string
	Trace      string // the file that their start is traced to, or ""
}

const orderVerb = "begin "

func (o Order) message() string {
	return orderVerb + strings.Join([]string{o.State, o.Run, o.Project, o.Trace}, "\x00")
}

func parseOrder(message string) (Order, error) {
	text, ok := strings.CutPrefix(message, orderVerb)
	part := strings.Split(text, "\x00")
	if !ok || len(part) != 4 {
		return Order{}, fmt.Errorf("%q is no order", message)
	}
	return Order{State: part[0], Run: part[1], Project: part[2], Trace: part[3]}, nil
}

// argv is the command line by which a process of the project is known.
func (o Order) argv(name string) []string { return []string{name, o.State, o.Run, o.Project} }

// Processes are those that work under a name for the same roots and project. The
// first process of a container has its supervisor's command line until it
// executes its program: by its PID namespace one knows it.
func (o Order) Processes(name string) (pids []int) {
	want := strings.Join(o.argv(name), "\x00") + "\x00"
	ours, _ := os.Readlink("/proc/self/ns/pid")
	all, _ := os.ReadDir("/proc") // without it nobody is found
	for _, p := range all {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile("/proc/" + p.Name() + "/cmdline") // it may be gone
		if ns, _ := os.Readlink("/proc/" + p.Name() + "/ns/pid"); ns == ours && strings.HasPrefix(string(line), want) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Pair is a keeper and a supervisor that have been started and wait for their
// order. They leave, unseen, if this process ends or closes them before.
type Pair struct{ socket *os.File }

// Start starts a pair.
func Start() (*Pair, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "keeper"), os.NewFile(uintptr(ends[1]), "order")
	defer theirs.Close()
	fail := func(err error) (*Pair, error) {
		ours.Close()
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fail(err)
	}
	defer null.Close()
	exe, err := sealed.Exe()
	if err != nil {
		return fail(err)
	}
	defer exe.Close()
	// What our caller gave us, such as a lock, is not for those who outlive us.
	// Kernels before 5.11 do not know how.
	_ = unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	// Package os would first start a process just to see whether there are pidfds.
	_, err = syscall.ForkExec(sealed.Path(int(exe.Fd())), untitled(Name), &syscall.ProcAttr{
		Dir:   "/",
		Env:   os.Environ(),
		Files: []uintptr{null.Fd(), null.Fd(), null.Fd(), theirs.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fail(fmt.Errorf("start a process: %w", err))
	}
	return &Pair{ours}, nil
}

// Close lets a pair go that is not needed. It may be called on nil.
func (p *Pair) Close() {
	if p != nil {
		p.socket.Close()
	}
}

// Order tells the pair what it is for and waits until its supervisor listens.
// They hold the lock from then on, and write to log. ErrGone says that they
// ended without a word: it can be tried again with another pair. The pair
// cannot be used afterwards; that its socket stays open says to the supervisor
// that this process, which may be about to connect, lives.
func (p *Pair) Order(o Order, lock, log *os.File) error {
	// Where they are gone, the answer may be there already.
	sendOrder(int(p.socket.Fd()), o, int(lock.Fd()), int(log.Fd()))
	answer := make([]byte, 4096)
	n, err := p.socket.Read(answer)
	if errors.Is(err, unix.ECONNRESET) { // told once, where they left the order unread
		n, err = p.socket.Read(answer)
	}
	if err == nil && string(answer[:n]) == "ok" {
		ordered.Lock()
		defer ordered.Unlock()
		ordered.pairs = append(ordered.pairs, p)
		return nil
	}
	p.socket.Close()
	if err != nil || n == 0 {
		return ErrGone
	}
	return errors.New(string(answer[:n]))
}

// ordered are the pairs whose sockets are open until this process ends.
var ordered struct {
	sync.Mutex
	pairs []*Pair
}

// ErrGone says that keeper and supervisor ended before they were up.
var ErrGone = errors.New("it ended before it was up")

// receiveOrder reads an order, with the lock and the log, from the command or from
// the supervisor that has done so.
func receiveOrder(socket int) (o Order, lock, log int, err error) {
	message, fds, err := newInbox(socket).receive()
	if err == nil && len(fds) != 2 {
		err = errors.New("an order comes with a lock and a log")
	}
	if err == nil {
		o, err = parseOrder(message)
	}
	if err != nil {
		closeFDs(fds)
		return Order{}, -1, -1, err
	}
	return o, fds[0], fds[1], nil
}

func sendOrder(socket int, o Order, lock, log int) {
	_ = unix.Sendmsg(socket, []byte(o.message()), unix.UnixRights(lock, log), nil, unix.MSG_NOSIGNAL)
}

// takeLog makes a file standard output and standard error.
func takeLog(fd int) {
	_ = unix.Dup3(fd, 1, 0) // these numbers are open, as is the file
	_ = unix.Dup3(fd, 2, 0)
}

// untitled is the command line of a process that has no order yet, with room
// for what is known then.
func untitled(name string) []string { return []string{name, strings.Repeat(" ", entry.TitleRoom)} }

// title is what a keeper is sent before the order, for it to be known by without
// that it has to wake up.
func (o Order) title() []byte {
	room := make([]byte, entry.TitleSize)
	copy(room, strings.Join(o.argv(Name), "\x00"))
	return room
}

// entitle changes the command line that others see of this process. The kernel
// shows them the memory that the arguments were put into when it began, so the
// new ones have to fit in there.
func entitle(argv []string) {
	if len(os.Args) != 2 {
		return // it was not begun for that
	}
	first, size := unsafe.StringData(os.Args[0]), len(os.Args[0])+1+len(os.Args[1])
	if unsafe.StringData(os.Args[1]) != (*byte)(unsafe.Add(unsafe.Pointer(first), len(os.Args[0])+1)) {
		return // somebody has replaced them
	}
	os.Args = argv // those before are overwritten
	room := unsafe.Slice(first, size)
	clear(room[copy(room, strings.Join(argv, "\x00")):])
}
