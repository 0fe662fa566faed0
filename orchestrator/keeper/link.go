package keeper

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"compose/internal/entry"
	"compose/internal/fault"
)

// Link is a supervisor's connection to its keeper.
type Link struct {
	fd    int
	lost  chan struct{}
	known chan struct{} // closed once the keeper has its title

	mu    sync.Mutex
	files map[string]*os.File // what the keeper holds for us
	exits map[int]Exit
	waits map[int][]chan Exit

	bell    int // the eventfd that wakes the keeper; -1: it is awake
	unheard int // how many messages wait until it is
	waking  *time.Timer
}

// A keeper that sleeps is left alone for as long as it does not matter when it does
// what it is told: what it is to hold waits in the socket, which holds it as well.
const (
	mostUnheard = 100                    // half of what a socket has room for
	dropDelay   = 500 * time.Millisecond // for how long more it may hold what is dropped
)

// Wake has the keeper do from now on what it is told when it is told. That is for
// when there is something it must not hold a moment longer than we do, such as a
// port, and when there may be processes that only it can reap.
func (l *Link) Wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake()
}

// wake is Wake for a caller that holds l.mu.
func (l *Link) wake() {
	if l.bell < 0 {
		return
	}
	_, _ = unix.Write(l.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // any number but 0
	unix.Close(l.bell)
	l.bell = -1
}

// wakeSoon is Wake, in a while. The caller holds l.mu.
func (l *Link) wakeSoon() {
	if l.bell >= 0 && l.waking == nil {
		l.waking = time.AfterFunc(dropDelay, l.Wake)
	}
}

// readyMessage says that there is nothing else to take over.
const readyMessage = "ready"

// Open opens the link of a process that a keeper has started as a supervisor.
// It waits for what the process is for, and returns that and the files that the
// last supervisor left with the keeper.
func Open() (*Link, Order, map[string]*os.File, error) { return open(linkFD, tellFD) }

func open(fd, tell int) (*Link, Order, map[string]*os.File, error) {
	unix.CloseOnExec(fd)
	unix.CloseOnExec(tell)
	l := &Link{
		fd: fd, lost: make(chan struct{}), known: make(chan struct{}), bell: entry.Bell(),
		files: map[string]*os.File{}, exits: map[int]Exit{}, waits: map[int][]chan Exit{},
	}
	if isSocket(tell) {
		order, err := l.ordered(tell)
		return l, order, nil, err
	}
	left := map[string]*os.File{}
	var order Order
	from := newInbox(fd)
	for {
		message, file, err := from.receiveOne()
		if err != nil {
			return nil, Order{}, nil, fmt.Errorf("read from the keeper: %w", err)
		}
		verb, rest, _ := strings.Cut(message, " ")
		switch {
		case strings.HasPrefix(message, orderVerb):
			if order, err = parseOrder(message); err != nil {
				return nil, Order{}, nil, err
			}
			entitle(order.argv(SupervisorName))
		case verb == "file":
			f := os.NewFile(uintptr(file), rest)
			l.files[rest] = f
			if rest != lockName {
				left[rest] = f
			}
		case verb == "exit":
			l.exited(rest)
		case message == readyMessage:
			close(l.known)
			go l.listen()
			return l, order, left, nil
		}
	}
}

// ordered waits for the order of the command that has started keeper and
// supervisor, and tells the keeper.
func (l *Link) ordered(socket int) (Order, error) {
	order, lock, log, err := receiveOrder(socket)
	if err != nil {
		return order, fmt.Errorf("read from the command: %w", err)
	}
	_ = unix.Sendmsg(l.fd, order.title(), nil, nil, unix.MSG_NOSIGNAL) // or it is lost
	sendOrder(l.fd, order, lock, log)
	takeLog(log)
	unix.Close(log)
	entitle(order.argv(SupervisorName))
	l.files[lockName] = os.NewFile(uintptr(lock), lockName)
	go l.listen()
	return order, nil
}

func isSocket(fd int) bool {
	_, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return err == nil
}

// Known waits until everybody can find the keeper by its title, or it is gone.
func (l *Link) Known() {
	select {
	case <-l.known:
	case <-l.lost:
	}
}

// Ready tells whoever started the keeper that the supervisor listens, or why
// it cannot. A read of what it returns ends when that process does, or is nil
// where nobody waits.
func Ready(err error) *os.File {
	_ = unix.SetNonblock(tellFD, true) // a read that waits then costs no thread
	f := os.NewFile(tellFD, "ready")
	message := "ok"
	if err != nil {
		message = err.Error()
	}
	_, _ = f.WriteString(message) // nobody may be waiting any more
	if err == nil && isSocket(tellFD) {
		return f
	}
	f.Close()
	return nil
}

func (l *Link) listen() {
	defer close(l.lost)
	from := newInbox(l.fd)
	for {
		message, _, err := from.receiveOne()
		if err != nil {
			return
		}
		if rest, ok := strings.CutPrefix(message, "exit "); ok {
			l.exited(rest)
		} else if message == Name {
			close(l.known)
		}
	}
}

func (l *Link) exited(message string) {
	e, ok := parseExit(message)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.exits[e.PID] = e
	for _, c := range l.waits[e.PID] {
		c <- e
	}
	delete(l.waits, e.PID)
}

// Exit gives the exit of a process that the keeper is the parent of, once it
// has ended. The process began at startTicks: what ended earlier had its number
// before.
func (l *Link) Exit(pid int, startTicks uint64) <-chan Exit {
	c := make(chan Exit, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake()
	if e, ok := l.exits[pid]; ok && e.Ticks >= startTicks {
		c <- e
	} else {
		l.waits[pid] = append(l.waits[pid], c)
	}
	return c
}

// Noted says that the exit of a process is in the state on disk.
func (l *Link) Noted(pid int) {
	l.mu.Lock()
	delete(l.exits, pid)
	l.mu.Unlock()
	l.send("noted " + strconv.Itoa(pid))
}

// Forget is Noted for all exits but those of the processes that are needed.
func (l *Link) Forget(needed func(pid int) bool) {
	l.mu.Lock()
	pids := slices.Collect(maps.Keys(l.exits))
	l.mu.Unlock()
	for _, pid := range pids {
		if !needed(pid) {
			l.Noted(pid)
		}
	}
}

// Store lets the keeper hold files under their names, beside us. Those that go
// with one message, which are maxFiles, it gets together or not at all.
func (l *Link) Store(files map[string]*os.File) {
	l.mu.Lock()
	for name, f := range files {
		if l.files[name] != nil { // that one is dropped
			l.wakeSoon()
		}
		l.files[name] = f
	}
	l.mu.Unlock()
	for names := range slices.Chunk(slices.Sorted(maps.Keys(files)), maxFiles) {
		l.storeTogether(names, files)
	}
}

// storeTogether sends files with one message. All are kept open meanwhile.
func (l *Link) storeTogether(names []string, files map[string]*os.File) {
	var with func(i int, open []string, fds []int)
	with = func(i int, open []string, fds []int) {
		if i == len(names) {
			if len(fds) > 0 {
				l.send("store "+strings.Join(open, nameEnd), fds...)
			}
			return
		}
		here := false
		if raw, err := files[names[i]].SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) {
				here = true
				with(i+1, append(open, names[i]), append(fds, int(fd)))
			})
		}
		if !here { // closed: nobody needs it any more
			with(i+1, open, fds)
		}
	}
	with(0, nil, nil)
}

// Drop lets go of the file of this name and of all below it, as in a directory.
func (l *Link) Drop(name string) {
	l.mu.Lock()
	l.wakeSoon()
	l.mu.Unlock()
	l.DropSometime(name)
}

// DropSometime is Drop for what may as well be held for as long as we live.
func (l *Link) DropSometime(name string) {
	l.mu.Lock()
	for n := range l.files {
		if n == name || strings.HasPrefix(n, name+"/") {
			delete(l.files, n)
		}
	}
	l.mu.Unlock()
	l.send("drop " + name)
}

// send does not fail: if the keeper is gone, Lost says so and what we hold
// ourselves is all that counts.
func (l *Link) send(message string, fds ...int) {
	l.mu.Lock()
	if l.unheard++; l.unheard == mostUnheard {
		l.wake()
	}
	l.mu.Unlock()
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	_ = unix.Sendmsg(l.fd, []byte(message), rights, nil, unix.MSG_NOSIGNAL)
}

// Lost is closed once the keeper is gone.
func (l *Link) Lost() <-chan struct{} { return l.lost }

// Become makes this process the keeper, with all children and files that it
// has. It returns only if that fails.
//
// A list of what it holds goes along in a file, for there may be more than an
// argument can take: "file <number> <name>" and "exit ..." lines.
func (l *Link) Become(o Order) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list strings.Builder
	for name, f := range l.files {
		raw, err := f.SyscallConn()
		if err != nil {
			continue // closed: nobody needs it any more
		}
		var number int
		if err := raw.Control(func(fd uintptr) { number, err = unix.Dup(int(fd)) }); err != nil || number < 0 {
			continue
		}
		fmt.Fprintf(&list, "file %d %s\n", number, name)
	}
	for _, e := range l.exits {
		fmt.Fprintln(&list, e.message())
	}
	fd, err := unix.MemfdCreate("inheritance", 0)
	if err != nil {
		return err
	}
	for rest := []byte(list.String()); len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	fault.Point("keeper: about to become it")
	return unix.Exec("/proc/self/exe", append(o.argv(Name), strconv.Itoa(fd)), os.Environ())
}
