package keeper

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Link is a supervisor's connection to its keeper.
type Link struct {
	fd   int
	lost chan struct{}

	mu    sync.Mutex
	files map[string]*os.File // what the keeper holds for us
	exits map[int]Exit
	waits map[int][]chan Exit
}

// Open opens the link of a process that a keeper has started as a supervisor.
// It returns the files that the last supervisor left with the keeper.
func Open() (*Link, map[string]*os.File, error) { return open(linkFD) }

func open(fd int) (*Link, map[string]*os.File, error) {
	unix.CloseOnExec(fd)
	unix.CloseOnExec(tellFD)
	l := &Link{fd: fd, lost: make(chan struct{}), files: map[string]*os.File{}, exits: map[int]Exit{}, waits: map[int][]chan Exit{}}
	left := map[string]*os.File{}
	for {
		message, file, err := receive(fd)
		if err != nil {
			return nil, nil, fmt.Errorf("read from the keeper: %w", err)
		}
		verb, rest, _ := strings.Cut(message, " ")
		switch verb {
		case "file":
			f := os.NewFile(uintptr(file), rest)
			left[rest], l.files[rest] = f, f
		case "exit":
			l.exited(rest)
		case "ready":
			go l.listen()
			return l, left, nil
		}
	}
}

// Ready tells whoever started the keeper that the supervisor listens, or why
// it cannot.
func Ready(err error) {
	f := os.NewFile(tellFD, "ready")
	message := "ok"
	if err != nil {
		message = err.Error()
	}
	_, _ = f.WriteString(message) // nobody may be waiting any more
	f.Close()
}

func (l *Link) listen() {
	defer close(l.lost)
	for {
		message, _, err := receive(l.fd)
		if err != nil {
			return
		}
		if rest, ok := strings.CutPrefix(message, "exit "); ok {
			l.exited(rest)
		}
	}
}

func (l *Link) exited(message string) {
	part := strings.Fields(message)
	if len(part) != 3 {
		return
	}
	pid, err1 := strconv.Atoi(part[0])
	status, err2 := strconv.ParseUint(part[1], 10, 32)
	at, err3 := strconv.ParseInt(part[2], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return
	}
	e := Exit{PID: pid, Status: syscall.WaitStatus(status), Time: time.Unix(0, at)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.exits[pid] = e
	for _, c := range l.waits[pid] {
		c <- e
	}
	delete(l.waits, pid)
}

// Exit gives the exit of a process that the keeper is the parent of, once it
// has ended.
func (l *Link) Exit(pid int) <-chan Exit {
	c := make(chan Exit, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.exits[pid]; ok {
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
	l.send("noted "+strconv.Itoa(pid), -1)
}

// Store lets the keeper hold a file under a name, beside us.
func (l *Link) Store(name string, f *os.File) {
	l.mu.Lock()
	l.files[name] = f
	l.mu.Unlock()
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { l.send("store "+name, int(fd)) })
	}
}

// Drop lets go of the file of this name and of all below it, as in a directory.
func (l *Link) Drop(name string) {
	l.mu.Lock()
	for n := range l.files {
		if n == name || strings.HasPrefix(n, name+"/") {
			delete(l.files, n)
		}
	}
	l.mu.Unlock()
	l.send("drop "+name, -1)
}

// send does not fail: if the keeper is gone, Lost says so and what we hold
// ourselves is all that counts.
func (l *Link) send(message string, fd int) {
	var rights []byte
	if fd >= 0 {
		rights = unix.UnixRights(fd)
	}
	_ = unix.Sendmsg(l.fd, []byte(message), rights, nil, unix.MSG_NOSIGNAL)
}

// Lost is closed once the keeper is gone.
func (l *Link) Lost() <-chan struct{} { return l.lost }

// Become makes this process the keeper, with all children and files that it
// has. It returns only if that fails.
func (l *Link) Become(args []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	for name, f := range l.files {
		raw, err := f.SyscallConn()
		if err != nil {
			continue // closed: nobody needs it any more
		}
		var number int
		if err := raw.Control(func(fd uintptr) { number, err = unix.Dup(int(fd)) }); err != nil || number < 0 {
			continue
		}
		list = append(list, name+"="+strconv.Itoa(number))
	}
	sort.Strings(list)
	argv := append([]string{Name}, args...)
	return unix.Exec("/proc/self/exe", append(argv, strings.Join(list, ",")), os.Environ())
}
