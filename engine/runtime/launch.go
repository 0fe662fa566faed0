package runtime

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"compose/engine/runtime/cgroup"
)

// launch is a child on its way from vfork to execve, as its parent sees it.
type launch struct {
	program  program
	args     cloneArgs
	name     string // of what is to run, for the error text
	warnings []string

	pid, pidfd int32 // written by the kernel when the child exists

	ready  *os.File // a byte comes when the child is born, if that is asked for, and when it waits; its end, when it never will
	readyW int
	goR    int
	goW    *os.File
	null   *os.File   // the host's null device
	open   []*os.File // kept open for the child

	born  func(pid int)       // called while the child begins, or nil
	early func(pid int) error // what is to be done while the child waits for the first time
	gate  *Gate

	done chan struct{} // closed when the child runs its program or is gone
	err  error         // why it is gone; read after done
}

func newLaunch() (*launch, error) {
	// What is asked once for the whole process is asked here, in the host's
	// root, and not by the thread when the container's may be its root.
	null, err := hostNull()
	if err != nil {
		return nil, err
	}
	cgroup.Version()
	var ready, start [2]int
	if err := unix.Pipe2(ready[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	if err := unix.Pipe2(start[:], unix.O_CLOEXEC); err != nil {
		unix.Close(ready[0])
		unix.Close(ready[1])
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	// A reader that waits for a pipe of its poller holds no thread.
	_ = unix.SetNonblock(ready[0], true)
	return &launch{
		null:  null,
		ready: os.NewFile(uintptr(ready[0]), "ready"), readyW: ready[1],
		goR: start[0], goW: os.NewFile(uintptr(start[1]), "go"),
		program: program{ops: make([]op, 0, 192), steps: make([]string, 0, 192), keep: make([]any, 0, 192), report: -1},
		pidfd:   -1, done: make(chan struct{}),
	}, nil
}

// spawn has prepare build a launch on a thread of its own, forks there, and
// returns when the child waits for Start.
func spawn(prepare func(*launch) error) (*launch, error) {
	l, err := newLaunch()
	if err != nil {
		return nil, err
	}
	prepared := make(chan error, 1)
	onOwnThread(func() {
		err := prepare(l)
		prepared <- err
		if err != nil {
			l.closeChildSide()
			return
		}
		l.run()
	}, func(err error) { prepared <- err })
	if err := <-prepared; err != nil {
		l.ready.Close()
		l.goW.Close()
		return nil, err
	}
	n, _ := l.ready.Read(make([]byte, 1))
	if n == 1 && l.born != nil {
		l.born(int(l.pid))
		n, _ = l.ready.Read(make([]byte, 1))
	}
	var earlyErr error
	if n == 1 && l.early != nil {
		if earlyErr = l.early(int(l.pid)); earlyErr == nil {
			_, _ = l.goW.Write([]byte{1})
		} else {
			l.goW.Close() // the child reads the end and goes
		}
		n, _ = l.ready.Read(make([]byte, 1))
	}
	l.ready.Close()
	if n == 1 {
		return l, nil
	}
	<-l.done
	l.goW.Close()
	if l.pidfd >= 0 {
		_, _ = Reap(int(l.pid))
		unix.Close(int(l.pidfd))
	}
	if earlyErr != nil {
		return nil, earlyErr
	}
	return nil, l.err
}

// run forks and comes back once the child has executed a program or is gone.
func (l *launch) run() {
	l.args.flags |= unix.CLONE_PIDFD | unix.CLONE_PARENT_SETTID
	l.args.pidfd = uint64(uintptr(unsafe.Pointer(&l.pidfd)))
	l.args.parentTID = uint64(uintptr(unsafe.Pointer(&l.pid)))
	if err := l.program.vfork(&l.args); err == unix.EAGAIN {
		l.err = fmt.Errorf("start a process: %w: a limit of processes is reached (ulimit -u, pids.max)", err)
	} else if err != nil {
		l.err = fmt.Errorf("start a process: %w", err)
	} else {
		l.err = l.verdict()
	}
	close(l.done)
	l.closeChildSide()
}

func (l *launch) closeChildSide() {
	unix.Close(l.readyW)
	unix.Close(l.goR)
	for _, f := range l.open {
		f.Close()
	}
}

// verdict is nil when the program runs. It is asked on the thread that is
// still inside the container, so that it can look at the program's file.
func (l *launch) verdict() error {
	p := &l.program
	switch {
	case p.failed && p.ops[p.at].rule == attempt:
		return execError(l.name, p.errno)
	case p.failed && p.errno == 0:
		return errDiscarded // the pipe from us has ended
	case p.failed:
		return &stepError{p.steps[p.at], p.errno}
	case p.ops[p.at].rule != attempt:
		return errors.New("the container's first process was killed while it was set up")
	}
	return nil
}

var errDiscarded = errors.New("the container was given up before it was started")

// start lets the child execute its program and waits until it has.
func (l *launch) start() error {
	_, err := l.goW.Write([]byte{1})
	l.goW.Close()
	<-l.done
	if l.err != nil {
		return l.err
	}
	if err != nil {
		return fmt.Errorf("release the container: %w", err)
	}
	return nil
}

// Start lets the container's program run. It returns when execve has
// succeeded, or why not: *ExecError for the program's own fault. The process
// has ended then, and the caller reaps it.
func (c *Container) Start() error {
	l := c.launch
	if l == nil {
		return errors.New("the container was started before")
	}
	c.launch = nil
	return l.start()
}

// Discard ends a container that was not started, and reaps it.
func (c *Container) Discard() {
	_ = unix.PidfdSendSignal(int(c.PIDFD.Fd()), unix.SIGKILL, nil, 0)
	if l := c.launch; l != nil {
		c.launch = nil
		l.goW.Close()
		<-l.done
	}
	_, _ = Reap(c.PID)
	c.PIDFD.Close()
	if c.Console != nil {
		c.Console.Close()
	}
}

// Reap waits for a child of this process and returns its wait status.
func Reap(pid int) (unix.WaitStatus, error) {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if err != unix.EINTR {
			return status, err
		}
	}
}
