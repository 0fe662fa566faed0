package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine"
	"compose/engine/runtime"
	"compose/internal/fault"
	"compose/internal/procstat"
)

// adoptAll takes over what the last supervisor has left: containers that run,
// those that ended while nobody looked, and those that wait for a restart.
func (s *supervisor) adoptAll(left map[string]*os.File) error {
	ctx := context.Background()
	list, err := s.engine.Containers(ctx, engine.Filter{Project: s.project})
	if err != nil {
		return err
	}
	if err := s.engine.Sweep(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "supervisor: clear away what a removal has left: %v\n", err)
	}
	unfinished, err := s.engine.Unfinished(list)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	over := containersIn(left) // of these, those that no longer need what they have left
	for _, cfg := range list {
		// As it was written: the engine would correct what is no longer true.
		record, err := s.engine.StateOnRecord(cfg.ID)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		state := *record
		if b, ok := underWay(left, cfg.ID); ok {
			s.follows = true
			delete(over, cfg.ID)
			c := s.known(cfg, &state)
			wg.Go(func() { c.adoptStart(ctx, b, left) })
			continue
		}
		if state.Status != engine.Running && state.Status != engine.Paused && slices.Contains(unfinished, cfg) {
			if err := s.engine.Finish(ctx, cfg.ID); err != nil {
				fmt.Fprintf(os.Stderr, "supervisor: container %s: give back what an unknown start has made: %v\n", cfg.Spec.Name, err)
			}
		}
		switch state.Status {
		case engine.Running, engine.Paused:
			s.follows = true
			delete(over, cfg.ID)
			c := s.known(cfg, &state)
			wg.Go(func() { c.adopt(ctx, left) })
		case engine.Restarting:
			c := s.known(cfg, &state)
			defer c.restartSoon()
		case engine.Exited:
			if cfg.Spec.AutoRemove { // the last supervisor had no time left for that
				s.follows = true
				s.leaveCode(cfg.ID, state.ExitCode)
				if err := s.engine.RemoveContainer(ctx, cfg.ID, engine.RemoveOptions{Volumes: true}); err != nil {
					fmt.Fprintf(os.Stderr, "supervisor: container %s: remove it: %v\n", cfg.Spec.Name, err)
				}
			}
		}
	}
	wg.Wait()
	// Their end came to the disk, and the last supervisor to no more. As long as
	// somebody holds its files, the kernel keeps a network namespace.
	for id := range over {
		s.link.Drop(id)
		for _, f := range files(left, id, "") {
			f.Close()
		}
	}
	s.link.Forget(s.runs)
	return nil
}

// containersIn are the containers that files are held for.
func containersIn(left map[string]*os.File) map[string]bool {
	ids := map[string]bool{}
	for name := range left {
		id, _, _ := strings.Cut(name, "/")
		ids[id] = true
	}
	return ids
}

// known takes a container into our care.
func (s *supervisor) known(cfg *engine.Container, state *engine.State) *container {
	c := newContainer(s, cfg, state)
	s.mu.Lock()
	s.containers[cfg.ID] = c
	s.mu.Unlock()
	return c
}

// runs says whether a process is the first of a container that runs.
func (s *supervisor) runs(pid int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.containers {
		c.mu.Lock()
		runs := c.state.PID == pid
		c.mu.Unlock()
		if runs {
			return true
		}
	}
	return false
}

func (c *container) adopt(ctx context.Context, left map[string]*os.File) {
	c.mu.Lock()
	state := c.state
	c.mu.Unlock()
	mine := files(left, c.id, "")
	if mine[stopHeld] != nil {
		c.mu.Lock()
		c.state.StoppedByHand = true
		c.mu.Unlock()
	}
	p := &pipes{stdin: mine["stdin"], stdout: mine["stdout"], stderr: mine["stderr"], log: files(left, c.id, "log/")}
	if runtime.Ended(state.PID, state.PIDStart) {
		c.endedUnseen(state, p, mine["pidfd"])
		return
	}
	fault.Point("supervisor: before an adoption")
	c.reopen(state.PID, p)
	var err error
	if p.forward, err = c.openForward(); err != nil {
		c.s.warn(c, "connect to its log service", err)
	}
	running, err := c.s.engine.Adopt(ctx, c.id, files(left, c.id, "net/"))
	if err != nil {
		c.s.warn(c, "take it over", err)
		if !runtime.Ended(state.PID, state.PIDStart) {
			return // it runs on, without us: better than to end it
		}
		c.endedUnseen(state, p, mine["pidfd"])
		return
	}
	c.holdAgain(running, mine)
	if c.cfg.Spec.TTY {
		p.stdin = p.stdout
	}
	c.s.warn(c, "take it over", c.began(running, p, time.Now().Add(-procstat.Age(state.PIDStart)), true, nil))
}

// holdAgain gives the keeper what the last one has taken with it.
func (c *container) holdAgain(running *engine.Started, mine map[string]*os.File) {
	files := map[string]*os.File{"pidfd": running.PIDFD}
	if running.Sandbox != nil {
		for name, f := range running.Sandbox.Files() {
			files["net/"+name] = f
		}
	}
	maps.DeleteFunc(files, func(name string, _ *os.File) bool { return mine[name] != nil })
	c.keep(files)
}

// restartSoon has the restart policy begin anew.
func (c *container) restartSoon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay = firstDelay
	c.timer = time.AfterFunc(c.delay, c.restartNow)
}

// reopen gets hold of the container's output through its first process, for
// when the keeper has died with the last supervisor. The process still has it
// open, unless it closed it or sent it elsewhere.
func (c *container) reopen(pid int, p *pipes) {
	if c.cfg.Spec.TTY || p.stdout != nil {
		return
	}
	for fd, at := range map[int]**os.File{1: &p.stdout, 2: &p.stderr} {
		path := fmt.Sprintf("/proc/%d/fd/%d", pid, fd)
		if target, err := os.Readlink(path); err != nil || len(target) < 5 || target[:5] != "pipe:" {
			continue
		}
		n, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		*at = os.NewFile(uintptr(n), "output")
		c.keep(map[string]*os.File{map[int]string{1: "stdout", 2: "stderr"}[fd]: *at})
	}
}

// endedUnseen deals with a container whose process ended while there was no
// supervisor: its last output is logged and its end handled as any other.
func (c *container) endedUnseen(state engine.State, p *pipes, process *os.File) {
	code := 255 // nobody saw it: the machine was restarted, or all of us died
	if process == nil {
		process = zombie(state.PID, state.PIDStart)
	}
	if process != nil {
		code = c.orphanExit(state.PID, process, state.PIDStart)
	} else {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			c.s.warn(c, "note its end", err)
			return
		}
		process = os.NewFile(uintptr(fd), "pidfd")
		select {
		case e := <-c.s.link.Exit(state.PID, state.PIDStart):
			code = exitCode(e.Status)
		default:
		}
	}
	_, cancel := context.WithCancel(context.Background())
	r := &run{
		Started: &engine.Started{PID: state.PID, PIDFD: process},
		ended:   make(chan struct{}), cancel: cancel, began: time.Now().Add(-procstat.Age(state.PIDStart)),
	}
	c.mu.Lock()
	c.run = r
	var copying sync.WaitGroup
	c.copyOutput(p, &copying)
	c.mu.Unlock()
	copying.Wait()
	cancel()
	c.ended(r, code)
}

// zombie is the pidfd of a process that has ended and that nobody has reaped
// yet, or nil.
func zombie(pid int, startTicks uint64) *os.File {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil
	}
	if runtime.StartTicks(pid) != startTicks {
		unix.Close(fd)
		return nil
	}
	return os.NewFile(uintptr(fd), "pidfd")
}
