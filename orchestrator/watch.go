package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"compose/engine"
)

// LifeEvent is what happened to a container of a project.
type LifeEvent struct {
	ID       string
	Action   string // "start", "die", "destroy"
	ExitCode int    // of "die"
	// Restarting says of "die" that the restart policy starts it again.
	Restarting bool
}

// watch follows the output of containers and what happens to them, until all
// it is concerned with have ended.
type watch struct {
	o       *Orchestrator
	project string
	sink    LogSink

	// concerns says whether a container that starts is to be followed too.
	concerns func(*Container) bool
	// onExit is told of each end of a followed container, restarts included.
	onExit func(c *Container, code int, restarting bool)

	ctx    context.Context
	cancel context.CancelFunc
	events <-chan LifeEvent

	mu        sync.Mutex
	followers map[string]*follower // by container ID
	changed   chan struct{}        // something ended or began
	wg        sync.WaitGroup
}

type follower struct {
	c     *Container
	sync  chan func() bool
	quiet bool // only its end counts, its output is not wanted
	alive bool
}

func (o *Orchestrator) newWatch(ctx context.Context, project string, sink LogSink) *watch {
	w := &watch{o: o, project: project, sink: sink, followers: map[string]*follower{}, changed: make(chan struct{}, 1)}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w
}

// close ends all following at once.
func (w *watch) close() {
	w.cancel()
	w.wg.Wait()
	w.sink.Flush()
}

// subscribe asks the supervisor, if the project has one, for its events.
func (w *watch) subscribe() error {
	sup, err := w.o.Host.RunningSupervisor(w.ctx, w.project)
	if err != nil || sup == nil {
		return err
	}
	w.events, err = sup.Events(w.ctx)
	if errors.Is(err, ErrNoSupervisor) {
		return nil
	}
	return err
}

// follow begins to read a container's output.
func (w *watch) follow(c *Container, opts LogOptions) {
	w.begin(&follower{c: c, alive: true}, opts)
}

// observeOnly counts a container in without reading its output.
func (w *watch) observeOnly(c *Container) {
	w.begin(&follower{c: c, alive: true, quiet: true}, LogOptions{})
}

func (w *watch) begin(f *follower, opts LogOptions) {
	f.sync = make(chan func() bool, 16)
	w.mu.Lock()
	w.followers[f.c.ID] = f
	w.mu.Unlock()
	if f.quiet {
		w.wg.Go(func() {
			for {
				select {
				case <-w.ctx.Done():
					return
				case fn := <-f.sync:
					if !fn() {
						return
					}
				}
			}
		})
		return
	}
	opts.Follow, opts.Sync, opts.Idle = true, f.sync, w.sink.Flush
	w.wg.Go(func() {
		if err := w.o.readLogs(w.ctx, f.c, opts, w.sink); err != nil {
			w.o.warn(fmt.Sprintf("logs of %s: %v", f.c.Name(), err))
			w.markEnded(f)
		}
	})
}

// ended lets a follower read to the end of what was written and then say
// what, if anything.
func (w *watch) ended(id, what string) {
	w.mu.Lock()
	f := w.followers[id]
	w.mu.Unlock()
	if f == nil {
		return
	}
	w.tell(f, func() bool {
		if what != "" {
			w.sink.Status(sourceName(f.c), what)
		}
		w.markEnded(f)
		return false
	})
}

func (w *watch) tell(f *follower, fn func() bool) {
	select {
	case f.sync <- fn:
	case <-w.ctx.Done():
	}
}

func (w *watch) markEnded(f *follower) {
	w.mu.Lock()
	f.alive = false
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *watch) anyAlive() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.followers {
		if f.alive {
			return true
		}
	}
	return false
}

// run handles events until every followed container has ended and busy, if
// there is one, says that no more will start.
func (w *watch) run(busy func() bool) error {
	swept := false
	for {
		isBusy := busy != nil && busy()
		if !isBusy && !swept {
			w.sweep()
			swept = true
		}
		if !isBusy && !w.anyAlive() {
			return nil
		}
		select {
		case <-w.ctx.Done():
			return nil
		case <-w.changed:
		case e, ok := <-w.events:
			if ok {
				w.handle(e)
				continue
			}
			if err := w.lost(); err != nil {
				return err
			}
		}
	}
}

// sweep gives up containers that have not been started, and now will not be.
func (w *watch) sweep() {
	w.mu.Lock()
	var alive []*follower
	for _, f := range w.followers {
		if f.alive {
			alive = append(alive, f)
		}
	}
	w.mu.Unlock()
	for _, f := range alive {
		if state, err := w.o.Host.State(f.c.ID); errors.Is(err, fs.ErrNotExist) || err == nil && state.Status == engine.Created {
			w.ended(f.c.ID, "")
		}
	}
}

// poke makes run look at its condition again.
func (w *watch) poke() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *watch) handle(e LifeEvent) {
	w.mu.Lock()
	f := w.followers[e.ID]
	w.mu.Unlock()
	switch e.Action {
	case "start":
		if f == nil || !f.alive {
			w.started(e.ID)
		}
	case "die":
		if f == nil || !f.alive {
			return
		}
		what := fmt.Sprintf("exited with code %d", e.ExitCode)
		if w.onExit != nil {
			w.onExit(f.c, e.ExitCode, e.Restarting)
		}
		if e.Restarting {
			w.tell(f, func() bool {
				w.sink.Status(sourceName(f.c), what+" (restarting)")
				return true
			})
			return
		}
		w.ended(e.ID, what)
	case "destroy":
		if f != nil && f.alive {
			w.ended(e.ID, "")
		}
	}
}

// started follows a container that came up after we began.
func (w *watch) started(id string) {
	c, err := w.o.Host.Container(w.ctx, id)
	if err != nil {
		return // gone again
	}
	state, err := w.o.Host.State(id)
	if err != nil {
		return
	}
	ctr := newContainer(c, state)
	if ctr.OneOff || w.concerns != nil && !w.concerns(ctr) {
		return
	}
	w.sink.Register(sourceName(ctr))
	w.follow(ctr, LogOptions{Tail: -1, Since: state.StartedAt})
}

// lost is called when the supervisor's events end: it left because nothing
// runs any more, or it died and another one takes over.
func (w *watch) lost() error {
	w.events = nil
	w.mu.Lock()
	var alive []*follower
	for _, f := range w.followers {
		if f.alive {
			alive = append(alive, f)
		}
	}
	w.mu.Unlock()
	again := false
	for _, f := range alive {
		state, err := w.o.Host.State(f.c.ID)
		if errors.Is(err, fs.ErrNotExist) {
			w.ended(f.c.ID, "")
			continue
		}
		if err != nil {
			return err
		}
		switch state.Status {
		case engine.Running, engine.Paused, engine.Restarting:
			again = true
		case engine.Created:
		default:
			if w.onExit != nil {
				w.onExit(f.c, state.ExitCode, false)
			}
			w.ended(f.c.ID, fmt.Sprintf("exited with code %d", state.ExitCode))
		}
	}
	if !again {
		return nil
	}
	// Something runs on: whoever looks after it now tells the rest.
	sup, err := w.o.Host.Supervisor(w.ctx, w.project)
	if err != nil {
		return err
	}
	w.events, err = sup.Events(w.ctx)
	return err
}
