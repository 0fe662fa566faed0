// Package keeper is the tiny parent of a project's supervisor. It outlives
// the supervisor: it holds the file descriptors of the containers, inherits
// their processes when the supervisor dies, remembers how they ended, and
// starts the next supervisor, which takes all of that over.
//
// The package imports little and does its work in init, before the
// initialisers of the heavy libraries in the same binary run.
package keeper

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"compose/internal/entry"
	"compose/internal/fault"
	"compose/internal/procstat"
	"compose/internal/resident"
)

// The names by which the binary is told what to be.
const (
	Name           = "compose-keeper"
	SupervisorName = "compose-supervisor"
)

// The file descriptors of a process that is started as either. Package entry
// knows them too.
const (
	orderFD = 3 // keeper: the socket of Pair
	linkFD  = 3 // supervisor: its link to the keeper
	tellFD  = 4 // supervisor: the socket of Pair, or nothing of use
)

// lockName is that of a file with a lock on it, held by keeper and supervisor
// in common: as long as one of them lives nobody may start another pair, for
// the one starts the other again.
const lockName = "lock"

func init() {
	if len(os.Args) == 0 {
		return
	}
	switch os.Args[0] {
	case Name:
		os.Exit(run(os.Args[1:]))
	case SupervisorName:
	default:
		startEarly(os.Args)
	}
}

// keeper is one running keeper.
type keeper struct {
	order Order

	heard chan struct{} // closed once all that the supervisor said has been done

	mu    sync.Mutex
	link  int            // our end of the link; -1: no supervisor now
	files map[string]int // what the supervisors have given us to hold
	exits map[int]Exit   // of processes that no supervisor has noted yet
}

// Exit is how a process ended that the keeper was the parent of.
type Exit struct {
	PID    int
	Status syscall.WaitStatus
	Ticks  uint64 // when, as /proc/<pid>/stat counts: nobody sets that clock
}

// run is the keeper's whole life, from when package entry has woken it. It
// begins with a supervisor and without anything for that to do, which comes with an
// Order. That goes to the supervisor, for somebody waits for it, and from there to
// us. Where a supervisor became a keeper in place, args are the order and the number
// of a file that says what it brought (see Link.Become).
func run(args []string) int {
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGPIPE)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "keeper: become the reaper of orphans:", err)
		return 1
	}
	k := &keeper{link: -1, files: map[string]int{}, exits: map[int]Exit{}}
	switch len(args) {
	case 1: // room for a title
		unix.CloseOnExec(orderFD)
		return k.begin()
	case 4:
		k.order = Order{State: args[0], Run: args[1], Project: args[2]}
		if err := k.inherit(args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "keeper: take over what the supervisor held:", err)
		}
		return k.keep(0, time.Time{})
	}
	fmt.Fprintln(os.Stderr, "keeper: this program is started by compose itself")
	return 2
}

// begin starts a supervisor, if package entry has not, and waits for what it is
// for. Without an order both leave: nobody has seen them.
func (k *keeper) begin() int {
	pid := entry.Supervisor()
	forked := pid != 0 // then we have our title already
	if forked {
		k.link = entry.LinkFD
		unix.Close(entry.PIDFD)
		unix.Close(entry.BellFD)
	} else {
		var err error
		if pid, err = k.start(orderFD); err != nil {
			_, _ = unix.Write(orderFD, []byte("start a process: "+err.Error())) // the command may have ended
			return 1
		}
		unix.Close(orderFD)
		_, _, _ = newInbox(k.link).receive() // the title; whether it fails, the next shows
	}
	order, lock, log, err := receiveOrder(k.link)
	if err != nil {
		k.reap(pid)
		return 0
	}
	k.order, k.files[lockName] = order, lock
	k.order.Trace = "" // it is over when the command is
	takeLog(log)
	unix.Close(log)
	if !forked {
		entitle(order.argv(Name))
		k.send(Name, -1) // it has its title
	}
	fault.Point("keeper: supervisor started")
	k.hear()
	return k.keep(pid, started())
}

// inherit takes over what came through an exec in place: descriptors, and exits
// that the supervisor had not noted yet.
func (k *keeper) inherit(number string) error {
	fd, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "inheritance")
	defer f.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	list, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(list)) {
		verb, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch verb {
		case "file":
			number, name, _ := strings.Cut(rest, " ")
			if fd, err := strconv.Atoi(number); err == nil && fd > 2 {
				unix.CloseOnExec(fd)
				k.files[name] = fd
			}
		case "exit":
			if e, ok := parseExit(rest); ok {
				k.exits[e.PID] = e
			}
		}
	}
	return nil
}

// keep looks after the supervisor with this number, which began then; 0 stands for
// none yet. It starts others until one leaves because nothing is left to do.
func (k *keeper) keep(pid int, began time.Time) int {
	for short := 0; ; {
		if pid == 0 {
			began = time.Now()
			pid = k.startAnother()
			k.brief()
			k.hear()
		}
		resident.Unmap()
		status := k.reap(pid)
		// What it said last counts, as a file that it had just handed over. A
		// copy of its end may live on in a process it was about to start.
		_ = unix.Shutdown(k.link, unix.SHUT_RD)
		<-k.heard
		k.mu.Lock()
		unix.Close(k.link)
		k.link = -1
		held := len(k.files) - 1 // without the lock
		k.mu.Unlock()
		switch {
		case status.Exited() && status.ExitStatus() == 0:
			return 0
		case status.Exited() && held <= 0 && time.Since(began) < time.Second:
			return 1 // it cannot start, and no container needs it
		}
		pid = 0
		fmt.Fprintf(os.Stderr, "keeper: the supervisor ended (%s); starting another\n", describe(status))
		// One that dies again and again at once does not get all of the machine.
		if short++; time.Since(began) > time.Second {
			short = 0
		}
		if short > 1 {
			time.Sleep(min(25*time.Millisecond<<min(short, 10), 500*time.Millisecond))
		}
	}
}

func describe(s syscall.WaitStatus) string {
	if s.Signaled() {
		return s.Signal().String()
	}
	return fmt.Sprintf("exit status %d", s.ExitStatus())
}

// startAnother starts a supervisor, once there is room on the machine for one
// more process: what runs has nobody but us meanwhile.
func (k *keeper) startAnother() int {
	for told := false; ; time.Sleep(500 * time.Millisecond) {
		pid, err := k.start(-1)
		if err == nil {
			return pid
		}
		if !told {
			fmt.Fprintf(os.Stderr, "keeper: start the supervisor: %v; trying again until it works\n", err)
			told = true
		}
	}
}

// start starts a supervisor. It waits for an order, at the socket ready or, where
// there is none (-1), from brief.
func (k *keeper) start(ready int) (int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if ready < 0 { // nobody waits; the supervisor need not know
		if ready, err = unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0); err != nil {
			return 0, err
		}
		defer unix.Close(ready)
	}
	files := []uintptr{0, 1, 2, uintptr(pair[1]), uintptr(ready)}
	pid, err := syscall.ForkExec("/proc/self/exe", untitled(SupervisorName), &syscall.ProcAttr{
		Env: os.Environ(), Files: files, Sys: &syscall.SysProcAttr{},
	})
	unix.Close(pair[1])
	if err != nil {
		unix.Close(pair[0])
		return 0, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.link = pair[0]
	return pid, nil
}

// hear begins to do what the supervisor asks.
func (k *keeper) hear() {
	k.heard = make(chan struct{})
	go k.listen(k.link, k.heard)
}

// brief tells a supervisor whose it is and what there is to take over.
func (k *keeper) brief() {
	k.mu.Lock()
	defer k.mu.Unlock()
	fault.Point("keeper: supervisor started")
	k.send(k.order.message(), -1)
	for name, fd := range k.files {
		k.send("file "+name, fd)
	}
	for _, e := range k.exits {
		k.send(e.message(), -1)
	}
	k.send(readyMessage, -1)
}

// started is when this process began.
func started() time.Time {
	if f := procstat.Fields(os.Getpid()); len(f) > procstat.Start {
		if ticks, err := strconv.ParseUint(f[procstat.Start], 10, 64); err == nil {
			return time.Now().Add(-procstat.Age(ticks))
		}
	}
	return time.Now()
}

// ticks is the time since the machine's boot in hundredths of a second.
func ticks() uint64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) // it always has one
	return uint64(now.Nano() / 1e7)
}

func (e Exit) message() string {
	return fmt.Sprintf("exit %d %d %d", e.PID, uint32(e.Status), e.Ticks)
}

// parseExit reads what follows the verb of such a message.
func parseExit(text string) (Exit, bool) {
	part := strings.Fields(text)
	if len(part) != 3 {
		return Exit{}, false
	}
	pid, err1 := strconv.Atoi(part[0])
	status, err2 := strconv.ParseUint(part[1], 10, 32)
	ticks, err3 := strconv.ParseUint(part[2], 10, 64)
	return Exit{PID: pid, Status: syscall.WaitStatus(status), Ticks: ticks}, err1 == nil && err2 == nil && err3 == nil
}

// send tells the supervisor something. If it has died, the next one is told.
func (k *keeper) send(message string, fd int) {
	var rights []byte
	if fd >= 0 {
		rights = unix.UnixRights(fd)
	}
	_ = unix.Sendmsg(k.link, []byte(message), rights, nil, unix.MSG_NOSIGNAL)
}

// listen does what one supervisor asks, until it is gone.
func (k *keeper) listen(link int, heard chan<- struct{}) {
	defer close(heard)
	from := newInbox(link)
	for {
		message, fds, err := from.receive()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(message, " ")
		fault.Point("keeper: told something")
		k.mu.Lock()
		switch {
		case verb == "store":
			for i, name := range strings.Split(rest, nameEnd) {
				if i < len(fds) {
					k.drop(name)
					k.files[name] = fds[i]
				}
			}
		case verb == "drop":
			for name := range k.files {
				if name == rest || strings.HasPrefix(name, rest+"/") {
					k.drop(name)
				}
			}
		case verb == "noted":
			if pid, err := strconv.Atoi(rest); err == nil {
				delete(k.exits, pid)
			}
		}
		k.mu.Unlock()
	}
}

func (k *keeper) drop(name string) {
	if fd, ok := k.files[name]; ok {
		unix.Close(fd)
		delete(k.files, name)
	}
}

// reap waits for the supervisor's end and notes those of all others.
func (k *keeper) reap(supervisor int) syscall.WaitStatus {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return 1 << 8 // no child at all: it was taken from us
		}
		fault.Point("keeper: a child ended")
		if pid == supervisor {
			return status
		}
		fault.Point("keeper: a container reaped")
		e := Exit{PID: pid, Status: status, Ticks: ticks()}
		k.mu.Lock()
		k.exits[pid] = e
		if k.link >= 0 {
			k.send(e.message(), -1)
		}
		k.mu.Unlock()
	}
}

// nameEnd is between the names of files that come with one message, of which
// there are no more than maxFiles.
const (
	nameEnd  = "\x00"
	maxFiles = 16
)

// inbox is where the messages of one socket are read. One room is used for all:
// a keeper is to stay small.
type inbox struct {
	socket int
	text   []byte
	rights []byte
}

func newInbox(socket int) *inbox {
	return &inbox{socket: socket, text: make([]byte, maxMessage), rights: make([]byte, unix.CmsgSpace(maxFiles*4))}
}

// maxMessage is the length of the longest message, in bytes: an order's, with
// three paths.
const maxMessage = 16 << 10

// receive reads one message and the descriptors that come with it.
func (in *inbox) receive() (message string, fds []int, err error) {
	for {
		n, rightsN, _, _, err := unix.Recvmsg(in.socket, in.text, in.rights, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", nil, err
		}
		if n == 0 {
			return "", nil, unix.ECONNRESET
		}
		if rightsN > 0 {
			if parts, err := unix.ParseSocketControlMessage(in.rights[:rightsN]); err == nil && len(parts) == 1 {
				fds, _ = unix.ParseUnixRights(&parts[0]) // none is as good as a bad one
			}
		}
		return string(in.text[:n]), fds, nil
	}
}

// receiveOne is receive for messages with one descriptor, or with none: -1.
func (in *inbox) receiveOne() (message string, fd int, err error) {
	message, fds, err := in.receive()
	if err == nil && len(fds) == 1 {
		return message, fds[0], nil
	}
	closeFDs(fds)
	return message, -1, err
}

func closeFDs(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
