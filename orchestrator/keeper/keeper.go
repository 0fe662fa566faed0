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
)

// The names by which the binary is told what to be.
const (
	Name           = "compose-keeper"
	SupervisorName = "compose-supervisor"
)

// The file descriptors of a process that is started as either.
const (
	readyFD = 3 // keeper: where the first supervisor says that it listens
	linkFD  = 3 // supervisor: its link to the keeper
	tellFD  = 4 // supervisor: where to say that it listens
)

func init() {
	if len(os.Args) > 0 && os.Args[0] == Name {
		os.Exit(run(os.Args[1:]))
	}
}

// keeper is one running keeper.
type keeper struct {
	args []string // of the supervisor: state root, run root, project

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
	Time   time.Time
}

// run is the keeper's whole life: args are the two roots, the project and,
// where a supervisor became a keeper in place, the number of a file that says
// what it brought (see Link.Become).
func run(args []string) int {
	if len(args) < 3 {
		fmt.Fprintln(os.Stderr, "keeper: this program is started by compose itself")
		return 2
	}
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGPIPE)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "keeper: become the reaper of orphans:", err)
		return 1
	}
	k := &keeper{args: args[:3], link: -1, files: map[string]int{}, exits: map[int]Exit{}}
	ready := readyFD
	if len(args) > 3 {
		ready = -1
		if err := k.inherit(args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "keeper: take over what the supervisor held:", err)
		}
	} else {
		unix.CloseOnExec(ready)
	}
	return k.keep(ready)
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

// keep starts supervisors until one leaves because nothing is left to do.
func (k *keeper) keep(ready int) int {
	for {
		began := time.Now()
		pid, err := k.start(ready)
		if ready >= 0 {
			unix.Close(ready)
			ready = -1
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "keeper: start the supervisor:", err)
			return 1
		}
		status := k.reap(pid)
		// What it said last counts, as a file that it had just handed over. A
		// copy of its end may live on in a process it was about to start.
		_ = unix.Shutdown(k.link, unix.SHUT_RD)
		<-k.heard
		k.mu.Lock()
		unix.Close(k.link)
		k.link = -1
		held := len(k.files)
		k.mu.Unlock()
		switch {
		case status.Exited() && status.ExitStatus() == 0:
			return 0
		case held == 0 && time.Since(began) < time.Second:
			return 1 // it cannot start, and no container needs it
		}
		fmt.Fprintf(os.Stderr, "keeper: the supervisor ended (%s); starting another\n", describe(status))
		if time.Since(began) < time.Second {
			time.Sleep(500 * time.Millisecond) // it died at once: do not spin
		}
	}
}

func describe(s syscall.WaitStatus) string {
	if s.Signaled() {
		return s.Signal().String()
	}
	return fmt.Sprintf("exit status %d", s.ExitStatus())
}

// start starts a supervisor and sends it what there is to take over.
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
	pid, err := syscall.ForkExec("/proc/self/exe", append([]string{SupervisorName}, k.args...), &syscall.ProcAttr{
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
	for name, fd := range k.files {
		k.send("file "+name, fd)
	}
	for _, e := range k.exits {
		k.send(e.message(), -1)
	}
	k.send("ready", -1)
	k.heard = make(chan struct{})
	go k.listen(pair[0], k.heard)
	return pid, nil
}

func (e Exit) message() string {
	return fmt.Sprintf("exit %d %d %d", e.PID, uint32(e.Status), e.Time.UnixNano())
}

// parseExit reads what follows the verb of such a message.
func parseExit(text string) (Exit, bool) {
	part := strings.Fields(text)
	if len(part) != 3 {
		return Exit{}, false
	}
	pid, err1 := strconv.Atoi(part[0])
	status, err2 := strconv.ParseUint(part[1], 10, 32)
	at, err3 := strconv.ParseInt(part[2], 10, 64)
	return Exit{PID: pid, Status: syscall.WaitStatus(status), Time: time.Unix(0, at)}, err1 == nil && err2 == nil && err3 == nil
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
	for {
		message, fd, err := receive(link)
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(message, " ")
		k.mu.Lock()
		switch {
		case verb == "store" && fd >= 0:
			k.drop(rest)
			k.files[rest] = fd
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
		if pid == supervisor {
			return status
		}
		e := Exit{PID: pid, Status: status, Time: time.Now()}
		k.mu.Lock()
		k.exits[pid] = e
		if k.link >= 0 {
			k.send(e.message(), -1)
		}
		k.mu.Unlock()
	}
}

// receive reads one message and the descriptor that may come with it.
func receive(link int) (message string, fd int, err error) {
	buf := make([]byte, 4096)
	oob := make([]byte, unix.CmsgSpace(4))
	for {
		n, oobn, _, _, err := unix.Recvmsg(link, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", -1, err
		}
		if n == 0 {
			return "", -1, unix.ECONNRESET
		}
		fd = -1
		if oobn > 0 {
			if parts, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil && len(parts) == 1 {
				if fds, err := unix.ParseUnixRights(&parts[0]); err == nil && len(fds) == 1 {
					fd = fds[0]
				}
			}
		}
		return string(buf[:n]), fd, nil
	}
}
