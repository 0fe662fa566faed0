package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine"
	"compose/engine/runtime"
	"compose/internal/fault"
	"compose/internal/headroom"
	"compose/orchestrator/logs"
	"compose/orchestrator/logs/forward"
	"compose/orchestrator/supervisor/api"
)

// startError says that a container could not be started, with the exit code
// that Docker gives for it.
type startError struct {
	code int
	err  error
}

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// start starts the container unless it runs. One that waits for its restart
// need not wait any longer, but its restarts go on being counted: whoever says
// it twice starts nothing anew.
func (c *container) start(ctx context.Context) error {
	c.op.Lock()
	defer c.op.Unlock()
	c.mu.Lock()
	running, removed := c.run != nil, c.removed
	waits := !running && !removed && c.cancelRestart()
	if waits {
		c.restarting = true
	} else if !running {
		c.delay, c.state.RestartCount = 0, 0
	}
	c.mu.Unlock()
	switch {
	case removed:
		return &engine.NotFoundError{Ref: c.id}
	case running:
		return nil
	case waits:
		return c.beginAgain(ctx)
	}
	return c.begin(ctx)
}

// begin begins a run. The caller holds c.op.
func (c *container) begin(ctx context.Context) error {
	if c.s.starts.Add(1) == many {
		headroom.Make() // what stays empty is given back when we rest
	}
	// It may have been renamed since we read it.
	cfg, err := c.s.engine.Container(ctx, c.id)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.cfg, c.finished = cfg, false
	for r := range c.unsaved { // the removal has not come
		c.spare(r)
	}
	c.mu.Unlock()
	pipes, stdio, err := openPipes(&cfg.Spec)
	if err != nil {
		return c.failed(err)
	}
	forwarded, err := c.openForward()
	if err != nil {
		closeAll(stdio.Stdin, stdio.Stdout, stdio.Stderr)
		pipes.close()
		return c.failed(err)
	}
	pipes.forward = forwarded
	var at time.Time
	var next *engine.NextState
	born := func(r *engine.Started) {
		at = time.Now().UTC()
		next = c.expect(r, at)
	}
	running, err := c.s.engine.Start(ctx, cfg, stdio, born, func(r *engine.Started) {
		if r.Console != nil {
			c.sized(r.Console)
			// It is polled, lest each terminal needs a thread.
			if pipes.stdout, err = pollable(r.Console); err != nil {
				pipes.stdout = r.Console
			}
			pipes.stdin = pipes.stdout
		}
		if next == nil {
			born(r)
		}
		c.hold(r, pipes, at)
	})
	closeAll(stdio.Stdin, stdio.Stdout, stdio.Stderr)
	if err != nil {
		next.Drop()
		c.s.link.Drop(c.id)
		pipes.close()
		forwarded.Close()
		return c.failed(err)
	}
	fault.Point("supervisor: started")
	return c.began(running, pipes, at, false, next)
}

// expect has the state be prepared that began will write: it comes to the disk while
// the process is set up and its program let go.
func (c *container) expect(r *engine.Started, at time.Time) *engine.NextState {
	c.mu.Lock()
	s := c.state
	c.mu.Unlock()
	c.startedState(&s, at)
	runs(&s, r)
	return c.s.engine.NextState(c.id, s)
}

// runs is the part of a state that says what runs.
func runs(s *engine.State, r *engine.Started) {
	s.PID, s.PIDStart = r.PID, r.StartTicks
	s.Endpoints, s.Ports = nil, nil
	if r.Sandbox != nil {
		s.Endpoints, s.Ports = r.Sandbox.Endpoints(), r.Sandbox.Ports()
	}
}

// failed notes why a run could not begin.
func (c *container) failed(err error) error {
	failure := &startError{code: runtime.CodeFailed, err: err}
	var exec *runtime.ExecError
	if errors.As(err, &exec) {
		failure.code = exec.Code
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	werr := c.put(func(s *engine.State) {
		s.ExitCode, s.Error, s.PID, s.PIDStart = failure.code, err.Error(), 0, 0
		// One that the policy goes on trying is not for a moment an ended one: if
		// we died then, nobody would try again.
		goesOn := c.restarting && s.Status == engine.Restarting && c.again(failure.code)
		if s.Status != engine.Created && !goesOn {
			s.Status = engine.Exited
		}
	})
	if werr != nil {
		failure.err = errors.Join(err, werr)
	}
	return failure
}

// began takes a run into our care: one that we began, with the state that was
// expected of it, or one that we adopt.
func (c *container) began(running *engine.Started, p *pipes, at time.Time, adopted bool, next *engine.NextState) error {
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{Started: running, ended: make(chan struct{}), cancel: cancel, began: at}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run, c.stdin = r, p.stdin
	if c.cfg.Spec.AutoRemove {
		r.doom()
	}
	err := c.putNext(next, func(s *engine.State) {
		if !adopted {
			c.startedState(s, at)
		}
		runs(s, running)
	})
	fault.Point("supervisor: start on disk")
	if !adopted {
		c.s.link.DropSometime(c.id + "/" + startHeld)
		c.started()
	}
	var copying sync.WaitGroup
	c.copyOutput(p, &copying)
	go c.watch(r, &copying, adopted || running.Orphan)
	if checked(c.cfg) {
		go c.checkHealth(ctx, r, c.cfg.Spec.Health)
	}
	return err // it runs, but a crash would lose it: the caller is told
}

// started tells of a start. The caller holds c.mu.
func (c *container) started() {
	c.s.events.send(api.Event{Action: "start", ID: c.id})
	c.event("start", nil)
}

// startedState is the state of a container that has just been started.
func (c *container) startedState(s *engine.State, at time.Time) {
	s.Status, s.StartedAt, s.ExitCode, s.Error, s.OOMKilled, s.StoppedByHand = engine.Running, at, 0, "", false, false
	s.FinishedAt = time.Time{}
	s.Health = nil
	if checked(c.cfg) {
		s.Health = &engine.Health{Status: "starting"}
	}
}

// hold gives the keeper what must outlive us, and the fact that a start is
// under way: until that is over the state on disk does not know of it.
func (c *container) hold(r *engine.Started, p *pipes, at time.Time) {
	files := map[string]*os.File{
		"pidfd": r.PIDFD,
		startHeld + "/" + begun{r.PID, r.StartTicks, at}.String(): r.PIDFD,
	}
	for name, f := range map[string]*os.File{"stdin": p.stdin, "stdout": p.stdout, "stderr": p.stderr} {
		if f != nil && (name != "stdin" || f != p.stdout) {
			files[name] = f
		}
	}
	if r.Sandbox != nil {
		for name, f := range r.Sandbox.Files() {
			files["net/"+name] = f
		}
	}
	c.keep(files)
	if r.Orphan || c.cfg.Spec.PIDMode != "" { // it may have to reap
		c.s.link.Wake()
	}
	c.keepPorts(r)
}

// keepPorts is called when the keeper has got what a container's network is made
// of. A port that it holds when we no longer do would be taken for somebody.
func (c *container) keepPorts(r *engine.Started) {
	if r.Sandbox != nil && len(r.Sandbox.Ports()) > 0 {
		c.s.link.Wake()
	}
}

// keep gives the keeper files of the container.
func (c *container) keep(files map[string]*os.File) {
	named := make(map[string]*os.File, len(files))
	for name, f := range files {
		named[c.id+"/"+name] = f
	}
	c.s.link.Store(named)
}

// copyOutput writes the container's log and serves those who are attached.
func (c *container) copyOutput(p *pipes, copying *sync.WaitGroup) {
	var log *logs.Writer
	if driver := c.cfg.Spec.Log.Driver; driver != "none" {
		options := c.cfg.Spec.Log.Options
		if forward.Is(driver) {
			options = cachedLog
		}
		var err error
		if log, err = logs.Open(c.s.engine.LogPath(c.id), options, c.keepLog(p)); err != nil {
			fmt.Fprintf(os.Stderr, "supervisor: container %s: open its log: %v\n", c.cfg.Spec.Name, err)
		}
	}
	var streams sync.WaitGroup
	follow := func(f *os.File, stream string) {
		if f == nil {
			return
		}
		copying.Add(1)
		streams.Go(func() {
			defer copying.Done()
			tee := func(data []byte) {
				if p.forward != nil {
					p.forward.Write(stream, data)
				}
				c.tee(stream, data)
			}
			if log == nil {
				drain(f, tee)
			} else if err := log.Copy(f, stream, tee); err != nil {
				// That must not stop the container: what it writes is lost.
				c.s.warn(c, "write its log", err)
				drain(f, tee)
			}
			f.Close()
		})
	}
	follow(p.stdout, "stdout")
	follow(p.stderr, "stderr")
	go func() {
		streams.Wait()
		if log != nil {
			log.Close()
		}
		p.forward.Close()
	}()
}

// keepLog lets the log outlive us.
func (c *container) keepLog(p *pipes) logs.Keep {
	name := c.cfg.Spec.Name
	return logs.Keep{
		Store: func(file string, f *os.File) { c.keep(map[string]*os.File{"log/" + file: f}) },
		Left:  p.log,
		Warn: func(err error) {
			fmt.Fprintf(os.Stderr, "supervisor: container %s: lines of its log are lost: %v\n", name, err)
		},
	}
}

func drain(f *os.File, tee func([]byte)) {
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		if n > 0 {
			tee(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// pipes are our ends of a container's streams.
type pipes struct {
	forward               *forward.Forward // the log service of another program that gets the output, or nil
	stdin, stdout, stderr *os.File
	log                   map[string]*os.File // what the log's last writer has left
}

func (p *pipes) close() { closeAll(p.stdin, p.stdout, p.stderr) }

func closeAll(list ...*os.File) {
	for _, f := range list {
		if f != nil {
			f.Close()
		}
	}
}

// openPipes makes the streams of a container without a terminal. The
// container's own ends are open for reading and writing: should all of us die
// at once, it blocks on a full pipe and is not killed by a broken one.
func openPipes(spec *engine.ContainerSpec) (*pipes, engine.Stdio, error) {
	p := &pipes{}
	var stdio engine.Stdio
	if spec.TTY {
		return p, stdio, nil
	}
	fail := func(err error) (*pipes, engine.Stdio, error) {
		p.close()
		closeAll(stdio.Stdin, stdio.Stdout, stdio.Stderr)
		return nil, engine.Stdio{}, err
	}
	var err error
	if p.stdout, stdio.Stdout, err = outPipe(); err != nil {
		return fail(err)
	}
	if p.stderr, stdio.Stderr, err = outPipe(); err != nil {
		return fail(err)
	}
	if spec.OpenStdin {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			return fail(err)
		}
		stdio.Stdin = os.NewFile(uintptr(fds[0]), "stdin")
		if p.stdin, err = pollable(os.NewFile(uintptr(fds[1]), "stdin")); err != nil {
			return fail(err)
		}
	}
	return p, stdio, nil
}

func outPipe() (ours, theirs *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	write := os.NewFile(uintptr(fds[1]), "output")
	defer write.Close()
	if ours, err = pollable(os.NewFile(uintptr(fds[0]), "output")); err != nil {
		return nil, nil, err
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fds[1]), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		ours.Close()
		return nil, nil, err
	}
	return ours, os.NewFile(uintptr(fd), "output"), nil
}

// pollable puts a file under the runtime's poller, so that a read that waits
// costs no thread. It takes the file over.
func pollable(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	f.Close()
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
