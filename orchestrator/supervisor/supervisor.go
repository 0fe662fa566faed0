// Package supervisor looks after the containers of one project: it is the
// parent of their processes, starts and stops them, restarts them as their
// policies say, checks their health and writes their logs. It runs as a
// process of its own, the child of a keeper, and leaves when nothing runs and
// nobody is connected.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine"
	"compose/internal/fault"
	"compose/internal/filelock"
	"compose/internal/headroom"
	"compose/internal/roots"
	"compose/internal/trace"
	"compose/orchestrator/keeper"
	"compose/orchestrator/supervisor/api"
)

// How much garbage there may be, in percent of what is in use. We live for long
// and do little: memory counts for more than time, but while somebody waits.
const (
	frugal = 50
	quick  = 400
)

// Main is the life of a supervisor process. It returns its exit status.
func Main() int {
	initialised := trace.SinceStart("initialise", "").Over()
	debug.SetGCPercent(quick)
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGPIPE)
	link, order, left, err := keeper.Open()
	if err != nil {
		fmt.Fprintln(os.Stderr, "supervisor:", err)
		return 1
	}
	leave := trace.Join(order.Trace)
	initialised.End()
	comingUp := trace.Begin("come up", "")
	s, err := start(order, link, left)
	comingUp.End()
	leave()
	link.Known()
	starter := keeper.Ready(err)
	if err != nil {
		fmt.Fprintln(os.Stderr, "supervisor:", err)
		return 1
	}
	if s.starter = starter; starter == nil {
		debug.SetGCPercent(frugal)
	}
	return s.serve(order)
}

// supervisor is one running supervisor.
type supervisor struct {
	engine   *engine.Engine
	roots    roots.Roots
	project  string
	link     *keeper.Link
	events   hub
	listener net.Listener
	starter  *os.File      // ends with the command that has us started; nil: the keeper did by itself
	done     chan struct{} // closed when it is time to leave

	mu          sync.Mutex
	containers  map[string]*container
	gone        map[string]goneCode // of containers removed under our eyes, for a while
	connections int
	met         bool // somebody has connected
	leaving     bool
	resting     *time.Timer // after the last connection

	follows bool // one that was killed: somebody may still be about to ask again

	unmounts unmounts // of containers' roots
	starts   atomic.Int32
}

// many is after how many starts more are to be expected, which take more memory
// than the heap has at first.
const many = 3

func start(o keeper.Order, link *keeper.Link, left map[string]*os.File) (*supervisor, error) {
	s := &supervisor{
		roots: roots.Roots{State: o.State, Run: o.Run}, project: o.Project, link: link,
		done: make(chan struct{}), containers: map[string]*container{}, gone: map[string]goneCode{},
	}
	var err error
	if s.engine, err = engine.Open(s.roots); err != nil {
		return nil, err
	}
	s.follows = s.codesLeft()
	if err := s.adoptAll(left); err != nil {
		return nil, err
	}
	return s, s.listen()
}

// listen makes the socket. It gets its name when it answers and not before,
// for those who wait for the name; a socket that has it is a dead one's.
func (s *supervisor) listen() error {
	path := api.Socket(s.roots, s.project)
	early := filepath.Join(filepath.Dir(path), "new.sock")
	if err := os.Remove(early); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	old := unix.Umask(0o177)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: early, Net: "unix"})
	unix.Umask(old)
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	s.listener = l
	fault.Point("supervisor: before its socket's name")
	return os.Rename(early, path)
}

// serve answers requests until there is nothing left to do.
func (s *supervisor) serve(o keeper.Order) int {
	server := &http.Server{Handler: s.handler(), ConnState: s.connection}
	go func() { _ = server.Serve(s.listener) }() // ends with the process
	go func() {
		<-s.link.Lost()
		fmt.Fprintln(os.Stderr, "supervisor: the keeper has died; becoming the keeper")
		err := s.link.Become(o)
		fmt.Fprintln(os.Stderr, "supervisor: become the keeper:", err)
		os.Exit(1)
	}()
	go s.leaveUnmet()
	<-s.done
	return 0
}

// connection counts who is connected: as long as somebody is, we stay.
func (s *supervisor) connection(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.mu.Lock()
		if s.connections++; s.connections == 1 {
			debug.SetGCPercent(quick)
		}
		if !s.met {
			s.met = true
			s.starter.Close() // its end need not wake us; it may be nil
		}
		s.mu.Unlock()
	case http.StateClosed:
		s.disconnected()
	}
}

// restAfter is for how long nobody is connected before what the last ones have
// needed is given back: commands often follow each other, and the next would
// have to fetch it anew.
const restAfter = time.Second

// disconnected is called when a connection ends. After the last one nothing is
// asked of us for a while, as a rule.
func (s *supervisor) disconnected() {
	s.mu.Lock()
	s.connections--
	if s.connections == 0 {
		if s.resting == nil {
			s.resting = time.AfterFunc(restAfter, s.rest)
		} else {
			s.resting.Reset(restAfter)
		}
	}
	s.mu.Unlock()
	s.leaveIfIdle()
}

// rest gives back garbage and unneeded parts of the binary, which are in memory
// for nothing, unless somebody has come.
func (s *supervisor) rest() {
	s.mu.Lock()
	alone := s.connections == 0 && !s.leaving
	if alone {
		debug.SetGCPercent(frugal)
	}
	s.mu.Unlock()
	if alone {
		headroom.Settle()
	}
}

// leaveUnmet ends a supervisor that nobody has come to see: whoever started it
// has died.
func (s *supervisor) leaveUnmet() {
	if s.starter != nil {
		_, _ = s.starter.Read(make([]byte, 1)) // or closed, once we are met
	} else {
		time.Sleep(10 * time.Second)
	}
	s.mu.Lock()
	s.met = true
	s.mu.Unlock()
	s.leaveIfIdle()
}

// leaveIfIdle ends the process if no container needs it and nobody is
// connected. A command that wants to connect meanwhile takes the spawn lock
// and starts another.
func (s *supervisor) leaveIfIdle() {
	s.mu.Lock()
	idle := s.idle()
	s.mu.Unlock()
	if !idle {
		return
	}
	s.unmounts.all()
	lock, err := filelock.TryExclusive(api.SpawnLock(s.roots, s.project))
	if err != nil {
		return // somebody is just connecting, and will go again
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.idle() {
		lock.Unlock()
		return
	}
	s.leaving = true
	fault.Point("supervisor: leaving")
	s.dropCodesAtLast()
	_ = os.Remove(api.Socket(s.roots, s.project))
	fault.Point("supervisor: socket removed")
	s.listener.Close()
	close(s.done) // the lock goes with the process
}

// idle says that nothing keeps us. The caller holds s.mu.
func (s *supervisor) idle() bool {
	if !s.met || s.connections > 0 || s.leaving {
		return false
	}
	for _, c := range s.containers {
		if c.needed() {
			return false
		}
	}
	return true
}

// get returns the container's record here, read in if it is new to us.
func (s *supervisor) get(ctx context.Context, id string) (*container, error) {
	s.mu.Lock()
	c, ok := s.containers[id]
	s.mu.Unlock()
	if ok {
		return c, nil
	}
	cfg, err := s.engine.Container(ctx, id)
	if err != nil {
		return nil, err
	}
	if cfg.Spec.Project != s.project {
		return nil, &engine.NotFoundError{Ref: id}
	}
	state, err := s.engine.State(cfg.ID)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.containers[cfg.ID]; ok {
		return c, nil
	}
	c = newContainer(s, cfg, state)
	s.containers[cfg.ID] = c
	return c, nil
}

// warn notes what goes wrong where nobody can be told.
func (s *supervisor) warn(c *container, what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "supervisor: container %s: %s: %v\n", c.name(), what, err)
	}
}

// files are those of one container among what the last supervisor left.
func files(left map[string]*os.File, id, below string) map[string]*os.File {
	out := map[string]*os.File{}
	for name, f := range left {
		if rest, ok := strings.CutPrefix(name, id+"/"+below); ok {
			out[rest] = f
		}
	}
	return out
}
