package supervisor

import (
	"context"
	"os"
	"sync"
	"time"

	"compose/engine"
	"compose/orchestrator/supervisor/api"
)

// container is one container under our care.
type container struct {
	s  *supervisor
	id string

	// op is held while a run begins and while the container is removed.
	op sync.Mutex

	mu         sync.Mutex
	cfg        *engine.Container
	state      engine.State
	run        *run          // nil while no process of it lives
	changed    chan struct{} // closed and replaced whenever state has changed
	finished   bool          // what its last run had is given back
	removing   bool          // it is going just now
	removed    bool
	unsaved    map[*run]bool // whose end is not on disk yet
	timer      *time.Timer   // of the next restart
	delay      time.Duration // before the last restart
	restarting bool          // by its policy, just now: no timer any more, and no run yet
	taps       map[*tap]bool // who is attached
	stdin      *os.File
	size       api.Resize // of its terminal, as far as somebody has said
}

// run is one life of the container's first process.
type run struct {
	*engine.Started
	ended  chan struct{} // closed once it has ended and that is in the state
	cancel context.CancelFunc
	began  time.Time // on the monotonic clock, also where another has begun it
	code   int       // its exit code, once it has ended
	ours   bool      // its process is a child of ours that is still to be reaped
	doomed bool      // the container is to be removed when it ends
	files  *os.File  // its root directory, if that is to be there until then; or nil
}

func newContainer(s *supervisor, cfg *engine.Container, state *engine.State) *container {
	return &container{s: s, id: cfg.ID, cfg: cfg, state: *state, changed: make(chan struct{}), taps: map[*tap]bool{}}
}

func (c *container) name() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cfg.Spec.Name
}

// needed says that the supervisor must stay for this container.
func (c *container) needed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.run != nil || c.timer != nil || c.restarting || c.removing || len(c.unsaved) > 0
}

// put changes the state, on disk first, and tells those who wait for it. The
// caller holds c.mu.
func (c *container) put(change func(*engine.State)) error { return c.putNext(nil, change) }

// putNext is put where that state has been expected, or nil.
func (c *container) putNext(expected *engine.NextState, change func(*engine.State)) error {
	next := c.state
	change(&next)
	var err error
	if expected != nil {
		err = expected.Write(&next)
	} else {
		err = c.s.engine.WriteState(c.id, &next)
	}
	c.set(next)
	return err
}

// set changes the state here alone. The caller holds c.mu.
func (c *container) set(s engine.State) {
	c.state = s
	close(c.changed)
	c.changed = make(chan struct{})
}

// event writes down what happened. The caller holds c.mu, so that events are
// in the order of what they tell of.
func (c *container) event(action string, attributes map[string]string) {
	c.s.engine.Happened(c.cfg, action, attributes)
}

// nextExit waits for the end of the run that is there, or comes.
func (c *container) nextExit(ctx context.Context) (api.Waited, error) {
	for {
		c.mu.Lock()
		r, state, changed, removed := c.run, c.state, c.changed, c.removed
		c.mu.Unlock()
		if r == nil && (removed || state.Status != engine.Restarting) {
			return api.Waited{ExitCode: state.ExitCode, Status: string(state.Status)}, nil
		}
		var ended chan struct{} // nil: not before it has begun
		if r != nil {
			ended, changed = r.ended, nil
		}
		select {
		case <-ended:
			return api.Waited{ExitCode: r.code, Status: string(engine.Exited)}, nil
		case <-changed:
		case <-ctx.Done():
			return api.Waited{}, ctx.Err()
		}
	}
}

// wait returns once the condition is met, or can no longer be.
func (c *container) wait(ctx context.Context, condition string) (api.Waited, error) {
	if condition == api.NextExit {
		return c.nextExit(ctx)
	}
	for {
		c.mu.Lock()
		state, removed, changed, hasCheck := c.state, c.removed, c.changed, checked(c.cfg)
		c.mu.Unlock()
		done := removed
		switch condition {
		case api.Removed:
		case api.Healthy:
			switch state.Status {
			case engine.Restarting:
			case engine.Running, engine.Paused:
				done = done || !hasCheck || state.Health != nil && state.Health.Status != "starting"
			default:
				done = true
			}
		default:
			done = done || state.Status != engine.Running && state.Status != engine.Paused && state.Status != engine.Restarting && state.Status != engine.Created
		}
		if done {
			return api.Waited{ExitCode: state.ExitCode, Status: string(state.Status)}, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return api.Waited{}, ctx.Err()
		}
	}
}
