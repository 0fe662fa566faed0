package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"compose/engine"
	"compose/netbridge"
)

type fakeSupervisor fakeHost

func (s *fakeSupervisor) set(id, verb string, status engine.Status) error {
	h := (*fakeHost)(s)
	defer h.lock()()
	c, ok := h.containers[id]
	if !ok {
		return fs.ErrNotExist
	}
	h.note("%s %s", verb, c.Spec.Name)
	h.states[id].Status = status
	if status == engine.Exited {
		h.states[id].FinishedAt = time.Now()
	}
	action := map[string]string{"start": "start", "stop": "die", "kill": "die"}[verb]
	for _, ch := range h.events {
		ch <- LifeEvent{ID: id, Action: action}
	}
	if verb == "start" && h.onStart != nil {
		if err := h.onStart(c, h.states[id]); err != nil {
			h.states[id].Status = engine.Created
			return err
		}
	}
	return nil
}

func (s *fakeSupervisor) Start(_ context.Context, id string) error {
	h := (*fakeHost)(s)
	h.mu.Lock()
	h.running++
	h.most = max(h.most, h.running)
	h.mu.Unlock()
	time.Sleep(time.Millisecond)
	h.mu.Lock()
	h.running--
	h.mu.Unlock()
	return s.set(id, "start", engine.Running)
}

func (s *fakeSupervisor) StopForRemoval(ctx context.Context, id string, timeout *time.Duration) error {
	return s.Stop(ctx, id, "", timeout)
}

func (s *fakeSupervisor) Stop(_ context.Context, id, _ string, _ *time.Duration) error {
	if err := s.set(id, "stop", engine.Exited); err != nil || s.onStop == nil {
		return err
	}
	return s.onStop(id)
}

func (s *fakeSupervisor) Restart(_ context.Context, id string, _ *time.Duration) error {
	return s.set(id, "restart", engine.Running)
}

func (s *fakeSupervisor) Kill(_ context.Context, id, _ string) error {
	if h := (*fakeHost)(s); h.onKill != nil {
		if err := h.onKill(id); err != nil {
			return err
		}
	}
	return s.set(id, "kill", engine.Exited)
}

func (s *fakeSupervisor) Pause(_ context.Context, id string) error {
	return s.set(id, "pause", engine.Paused)
}

func (s *fakeSupervisor) Unpause(_ context.Context, id string) error {
	return s.set(id, "unpause", engine.Running)
}

func (s *fakeSupervisor) Wait(ctx context.Context, id, _ string) (int, error) {
	h := (*fakeHost)(s)
	defer h.lock()()
	if h.onWait == nil {
		return 0, errors.New("nobody ends it")
	}
	state, ok := h.states[id]
	if !ok {
		return 0, fs.ErrNotExist
	}
	h.onWait(h.containers[id], state)
	return state.ExitCode, ctx.Err()
}

func (s *fakeSupervisor) Remove(ctx context.Context, id string, _, volumes bool) error {
	return (*fakeHost)(s).RemoveContainer(ctx, id, volumes)
}

func (s *fakeSupervisor) Events(context.Context) (<-chan LifeEvent, error) {
	h := (*fakeHost)(s)
	defer h.lock()()
	ch := make(chan LifeEvent, 100)
	h.events = append(h.events, ch)
	return ch, nil
}

func (s *fakeSupervisor) Attach(_ context.Context, id string, streams Streams) (func() error, error) {
	h := (*fakeHost)(s)
	defer h.lock()()
	if h.onAttach != nil {
		if err := h.onAttach(); err != nil {
			return nil, err
		}
	}
	h.note("attach %s", h.containers[id].Spec.Name)
	return func() error {
		fmt.Fprintln(streams.Stdout, "output")
		return nil
	}, nil
}

func (s *fakeSupervisor) Connect(context.Context, string, netbridge.EndpointConfig) error {
	return nil
}

func (s *fakeSupervisor) Update(context.Context, string, engine.Update) error { return nil }

func (s *fakeSupervisor) Disconnect(context.Context, string, string) error { return nil }

func (s *fakeSupervisor) Resize(_ context.Context, _ string, size WindowSize) error {
	h := (*fakeHost)(s)
	defer h.lock()()
	h.note("resize %d %d", size.Rows, size.Columns)
	return nil
}
