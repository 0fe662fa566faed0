package orchestrator

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"compose/engine"
)

// RunOneOff starts a container made by CreateOneOff and, with streams, stays
// connected until it has ended. It returns the exit code; a container with
// AutoRemove is gone by then.
func (o *Orchestrator) RunOneOff(ctx context.Context, c *engine.Container, streams *Streams) (exitCode int, err error) {
	sup, err := o.Host.Supervisor(ctx, c.Spec.Project)
	if err != nil {
		return 0, err
	}
	if streams == nil {
		return 0, o.startOneOff(ctx, sup, c)
	}
	begun := false
	exitCode, err = stayConnected(ctx, sup, c, *streams, func() error {
		begun = true
		return o.startOneOff(ctx, sup, c)
	})
	switch {
	case !begun: // nobody else will start it
		err = errors.Join(err, o.autoRemove(ctx, sup, c))
	case err == nil:
		err = o.autoRemove(ctx, sup, c)
	}
	return exitCode, err
}

// Attach connects to a container that runs, until it has ended.
func (o *Orchestrator) Attach(ctx context.Context, c *engine.Container, streams Streams) (exitCode int, err error) {
	sup, err := o.Host.Supervisor(ctx, c.Spec.Project)
	if err != nil {
		return 0, err
	}
	return stayConnected(ctx, sup, c, streams, func() error { return nil })
}

func stayConnected(ctx context.Context, sup Supervisor, c *engine.Container, streams Streams, start func() error) (exitCode int, err error) {
	ended, err := sup.Attach(ctx, c.ID, streams)
	if err != nil {
		return 0, err
	}
	if size, ok := streams.size(); ok {
		_ = sup.Resize(ctx, c.ID, size) // it may have ended
	}
	if err := start(); err != nil {
		return 0, err
	}
	done := make(chan struct{})
	defer close(done)
	go passOn(ctx, sup, c.ID, streams, done)
	type end struct {
		code int
		err  error
	}
	over := make(chan end, 1)
	go func() {
		code, err := sup.Wait(ctx, c.ID, "not-running")
		if err == nil {
			err = ended()
		}
		over <- end{code, err}
	}()
	select {
	case e := <-over:
		return e.code, e.err
	case <-streams.Detach:
		return 0, ErrDetached
	}
}

// ErrDetached says that the user left a process that goes on.
var ErrDetached = errors.New("detached")

// startOneOff starts the container, and takes one that is to go and cannot be
// started away.
func (o *Orchestrator) startOneOff(ctx context.Context, sup Supervisor, c *engine.Container) error {
	err := sup.Start(context.WithoutCancel(ctx), c.ID)
	if err != nil {
		return errors.Join(err, o.autoRemove(ctx, sup, c))
	}
	return nil
}

// autoRemove sees to it that the container is gone. The supervisor does the
// same; whoever comes second finds nothing.
func (o *Orchestrator) autoRemove(ctx context.Context, sup Supervisor, c *engine.Container) error {
	if !c.Spec.AutoRemove {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	err := sup.Remove(ctx, c.ID, true, true)
	if errors.Is(err, ErrNoSupervisor) {
		err = o.Host.RemoveContainer(ctx, c.ID, true)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// passOn hands signals and terminal sizes to the container until done.
func passOn(ctx context.Context, sup Supervisor, id string, streams Streams, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case size := <-streams.Resize:
			_ = sup.Resize(ctx, id, size) // it may have ended
		case sig := <-streams.Signals:
			if name := signalName(sig); name != "" {
				_ = sup.Kill(context.WithoutCancel(ctx), id, name) // likewise
			}
		}
	}
}

// signalName is the signal as the supervisor takes it; "" for those that are
// not meant for the container.
func signalName(sig os.Signal) string {
	switch sig {
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGHUP:
		return "SIGHUP"
	case syscall.SIGQUIT:
		return "SIGQUIT"
	case syscall.SIGUSR1:
		return "SIGUSR1"
	case syscall.SIGUSR2:
		return "SIGUSR2"
	}
	return ""
}
