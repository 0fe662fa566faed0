package orchestrator

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"compose/engine"
	"compose/engine/runtime"
)

// Exec runs the process as a child of this one. Where the streams are files
// they are handed over as they are, and nothing is copied.
func (h *engineHost) Exec(ctx context.Context, id string, opts ExecOptions, streams Streams) (int, error) {
	spec := engine.ExecSpec{
		Args: opts.Args, Env: opts.Env, User: opts.User, WorkingDir: opts.WorkingDir, TTY: opts.TTY, Privileged: opts.Privileged,
	}
	if opts.Detach {
		_, err := h.engine.Exec(ctx, id, spec, engine.Stdio{})
		return 0, startError(err)
	}
	pipes := &execPipes{}
	defer pipes.closeAll()
	var stdio engine.Stdio
	if !opts.TTY {
		var err error
		if stdio, err = pipes.connect(streams); err != nil {
			return 0, err
		}
	}
	if size, ok := streams.size(); ok {
		spec.Rows, spec.Columns = size.Rows, size.Columns
	}
	p, err := h.engine.Exec(ctx, id, spec, stdio)
	if err != nil {
		return 0, startError(err)
	}
	defer p.PIDFD.Close()
	pipes.closeAll() // the process has its own copies
	stop := make(chan struct{})
	defer close(stop)
	go forward(p, streams, stop)
	if opts.TTY {
		defer p.Console.Close()
		if streams.Stdin != nil {
			go func() { _, _ = io.Copy(p.Console, streams.Stdin) }()
		}
		_, _ = io.Copy(streams.Stdout, p.Console) // EIO is how a terminal ends
	}
	status, err := runtime.Reap(p.PID)
	pipes.output.Wait()
	if err != nil {
		return 0, err
	}
	code := exitCode(status)
	p.Ended(code)
	return code, nil
}

func startError(err error) error {
	var exec *runtime.ExecError
	if errors.As(err, &exec) {
		return &StartError{Code: exec.Code, Message: exec.Msg}
	}
	return err
}

func exitCode(status unix.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// forward passes the user's signals and window sizes on.
func forward(p *engine.ExecProcess, streams Streams, stop <-chan struct{}) {
	for {
		select {
		case s := <-streams.Signals:
			if sig, ok := s.(syscall.Signal); ok {
				_ = runtime.Signal(p.PIDFD, unix.Signal(sig))
			}
		case size := <-streams.Resize:
			if p.Console != nil {
				_ = runtime.Resize(p.Console, size.Rows, size.Columns)
			}
		case <-stop:
			return
		}
	}
}

// execPipes connects streams that are no files by pipes.
type execPipes struct {
	child  []*os.File // the process's ends, ours to close once it has them
	output sync.WaitGroup
}

func (e *execPipes) connect(s Streams) (engine.Stdio, error) {
	var stdio engine.Stdio
	var err error
	if stdio.Stdin, err = e.input(s.Stdin); err != nil {
		return stdio, err
	}
	if stdio.Stdout, err = e.sink(s.Stdout); err != nil {
		return stdio, err
	}
	stdio.Stderr, err = e.sink(s.Stderr)
	return stdio, err
}

func (e *execPipes) input(r io.Reader) (*os.File, error) {
	if r == nil {
		return nil, nil
	}
	if f, ok := r.(*os.File); ok {
		return f, nil
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	e.child = append(e.child, out)
	go func() {
		_, _ = io.Copy(in, r)
		in.Close()
	}()
	return out, nil
}

func (e *execPipes) sink(w io.Writer) (*os.File, error) {
	if w == nil {
		return nil, nil
	}
	if f, ok := w.(*os.File); ok {
		return f, nil
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	e.child = append(e.child, in)
	e.output.Go(func() {
		_, _ = io.Copy(w, out)
		out.Close()
	})
	return in, nil
}

func (e *execPipes) closeAll() {
	for _, f := range e.child {
		f.Close()
	}
	e.child = nil
}

// Sync makes paths of a container like those of the host.
func (h *engineHost) Sync(ctx context.Context, id string, list []engine.SyncPath) error {
	return h.engine.Sync(ctx, id, list)
}
