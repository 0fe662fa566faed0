package orchestrator

import (
	"context"
	"errors"
	"time"

	"compose/engine"
	"compose/internal/roots"
	"compose/netbridge"
	"compose/orchestrator/supervisor/client"
)

// OpenHost opens the engine of a root.
func OpenHost(r roots.Roots) (Host, error) {
	e, err := engine.Open(r)
	if err != nil {
		return nil, err
	}
	e.Attended = func(project string) bool { return client.Attended(r, project) }
	// What fails of these is tried again by the next command.
	_ = e.SweepBuilds(context.Background())
	_ = e.Sweep(context.Background())
	e.Volumes().Sweep()
	published, repositories := fetchedDirs(r)
	_, _ = sweepFetched(published), sweepFetched(repositories)
	return &engineHost{engine: e, roots: r}, nil
}

// OpenHostAhead does so for a verb that will look at the containers and has
// something else to do until then: it goes on to read what is on record of
// them.
func OpenHostAhead(r roots.Roots) (Host, error) {
	h, err := OpenHost(r)
	if err == nil {
		go h.(*engineHost).engine.ReadAhead()
	}
	return h, err
}

// Supervisor connects to the project's supervisor, and starts it if need be.
func (h *engineHost) Supervisor(ctx context.Context, project string) (Supervisor, error) {
	c, err := client.Connect(ctx, h.roots, project)
	if err != nil {
		return nil, err
	}
	return &supervised{Client: c, engine: h.engine}, nil
}

// RunningSupervisor connects to the project's supervisor, if it has one.
func (h *engineHost) RunningSupervisor(ctx context.Context, project string) (Supervisor, error) {
	c, err := client.Dial(ctx, h.roots, project)
	if errors.Is(err, client.ErrNotRunning) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &supervised{Client: c, engine: h.engine}, nil
}

// supervised is the Supervisor that real stacks have.
type supervised struct {
	*client.Client
	engine *engine.Engine
}

// said puts the supervisor's answer into this package's errors.
func said(err error) error {
	var e *client.Error
	switch {
	case errors.Is(err, client.ErrNotRunning):
		return ErrNoSupervisor
	case errors.As(err, &e) && e.Code != 0:
		return &StartError{Code: e.Code, Message: e.Message}
	}
	return err
}

func (s *supervised) Start(ctx context.Context, id string) error {
	return said(s.Client.Start(ctx, id))
}

func (s *supervised) Stop(ctx context.Context, id, signal string, timeout *time.Duration) error {
	return said(s.Client.Stop(ctx, id, signal, timeout))
}

func (s *supervised) StopForRemoval(ctx context.Context, id string, timeout *time.Duration) error {
	return said(s.Client.StopForRemoval(ctx, id, timeout))
}

func (s *supervised) Restart(ctx context.Context, id string, timeout *time.Duration) error {
	return said(s.Client.Restart(ctx, id, timeout))
}

func (s *supervised) Kill(ctx context.Context, id, signal string) error {
	return said(s.Client.Kill(ctx, id, signal))
}

func (s *supervised) Pause(ctx context.Context, id string) error {
	return said(s.Client.Pause(ctx, id))
}

func (s *supervised) Unpause(ctx context.Context, id string) error {
	return said(s.Client.Unpause(ctx, id))
}

func (s *supervised) Wait(ctx context.Context, id, condition string) (int, error) {
	w, err := s.Client.Wait(ctx, id, condition)
	return w.ExitCode, said(err)
}

func (s *supervised) Remove(ctx context.Context, id string, force, volumes bool) error {
	return said(s.Client.Remove(ctx, id, force, volumes))
}

func (s *supervised) Connect(ctx context.Context, id string, ep netbridge.EndpointConfig) error {
	return said(s.Client.Connect(ctx, id, ep))
}

func (s *supervised) Disconnect(ctx context.Context, id, network string) error {
	return said(s.Client.Disconnect(ctx, id, network))
}

func (s *supervised) Update(ctx context.Context, id string, u engine.Update) error {
	return said(s.Client.Update(ctx, id, u))
}

func (s *supervised) Resize(ctx context.Context, id string, size WindowSize) error {
	return said(s.Client.Resize(ctx, id, size.Rows, size.Columns))
}

func (s *supervised) Attach(ctx context.Context, id string, streams Streams) (func() error, error) {
	c, err := s.engine.Container(ctx, id)
	if err != nil {
		return nil, err
	}
	wait, err := s.Client.Attach(ctx, id, c.Spec.TTY, streams.Stdin, streams.Stdout, streams.Stderr)
	return wait, said(err)
}

func (s *supervised) Events(ctx context.Context) (<-chan LifeEvent, error) {
	events, err := s.Client.Events(ctx)
	if err != nil {
		return nil, said(err)
	}
	out := make(chan LifeEvent)
	go func() {
		defer close(out)
		for e := range events {
			select {
			case out <- LifeEvent(e):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}
