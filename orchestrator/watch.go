package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

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
	since  time.Time // we are told of every end after that

	mu        sync.Mutex
	followers map[string]*follower // by container ID
	changed   chan struct{}        // something ended or began
	wg        sync.WaitGroup
}

// follower is one container that is followed. It is read by one reader over all
// its runs: two would show lines twice, or a run's first ones not at all.
type follower struct {
	c       *Container
	sync    chan func() bool
	quiet   bool // only its end counts, its output is not wanted
	running bool // as far as the events go; of the goroutine that handles them

	// Of the watch's lock.
	alive bool // its end has not been told of
	run   int  // counts its starts
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
	if err = w.listen(sup); errors.Is(err, ErrNoSupervisor) {
		return nil
	}
	return err
}

func (w *watch) listen(sup Supervisor) (err error) {
	w.events, err = sup.Events(w.ctx)
	w.since = time.Now()
	return err
}

// follow begins to read a container's output. The channel is closed when what
// the container writes from now on will not be missed.
func (w *watch) follow(c *Container, opts LogOptions) (begun <-chan struct{}) {
	f := w.add(c, false)
	place := make(chan struct{})
	var once sync.Once
	found := func() { once.Do(func() { close(place) }) }
	opts.Follow, opts.Sync, opts.Idle = true, f.sync, func() { found(); w.sink.Flush() }
	w.wg.Go(func() {
		err := w.o.readLogs(w.ctx, f.c, opts, w.sink)
		found()
		if err != nil {
			w.o.warn(fmt.Sprintf("logs of %s: %v", f.c.Name(), err))
		}
		if err != nil || !opts.Until.IsZero() {
			w.mu.Lock()
			f.alive = false
			w.mu.Unlock()
			w.poke()
		}
		w.attend(f) // it may have been removed before its end was told of
	})
	return place
}

// observeOnly counts a container in without reading its output.
func (w *watch) observeOnly(c *Container) {
	f := w.add(c, true)
	w.wg.Go(func() { w.attend(f) })
}

func (w *watch) add(c *Container, quiet bool) *follower {
	f := &follower{c: c, quiet: quiet, running: true, alive: true, sync: make(chan func() bool, 16)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.followers[c.ID] = f
	return f
}

// attend calls what a follower is told where nothing is read.
func (w *watch) attend(f *follower) {
	for {
		select {
		case <-w.ctx.Done():
			return
		case fn := <-f.sync:
			fn()
		}
	}
}

// ended lets a follower read to the end of what was written and then say
// what, if anything.
func (w *watch) ended(f *follower, what string) {
	f.running = false
	w.mu.Lock()
	run := f.run
	w.mu.Unlock()
	w.tell(f, func() bool {
		if what != "" {
			w.sink.Status(sourceName(f.c), what)
		}
		w.markEnded(f, run)
		return true
	})
}

// exited is the end of a run that we are told of or find.
func (w *watch) exited(f *follower, code int) {
	if w.onExit != nil {
		w.onExit(f.c, code, false)
	}
	w.ended(f, fmt.Sprintf("exited with code %d", code))
}

func (w *watch) tell(f *follower, fn func() bool) {
	select {
	case f.sync <- fn:
	case <-w.ctx.Done():
	}
}

// markEnded notes that the end of a run has been told of, unless it runs again.
func (w *watch) markEnded(f *follower, run int) {
	w.mu.Lock()
	f.alive = f.alive && f.run != run
	w.mu.Unlock()
	w.poke()
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

// sweep gives up containers that have not been started, and now will not be,
// and those that had ended before there was anybody to tell of it.
func (w *watch) sweep() {
	for _, f := range w.running() {
		state, err := w.o.Host.State(f.c.ID)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && state.Status == engine.Created:
			w.ended(f, "")
		case err == nil && state.Status == engine.Exited && !state.FinishedAt.After(w.since):
			w.ended(f, "")
		}
	}
}

// running are the followers of what has not ended, as far as we were told.
func (w *watch) running() (list []*follower) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.followers {
		if f.running {
			list = append(list, f)
		}
	}
	return list
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
		switch {
		case f == nil:
			w.started(e.ID)
		case !f.running:
			f.running = true
			w.mu.Lock()
			f.alive = true
			f.run++
			w.mu.Unlock()
		}
	case "die":
		switch {
		case f == nil || !f.running:
		case e.Restarting:
			if w.onExit != nil {
				w.onExit(f.c, e.ExitCode, true)
			}
			w.tell(f, func() bool {
				w.sink.Status(sourceName(f.c), fmt.Sprintf("exited with code %d (restarting)", e.ExitCode))
				return true
			})
		default:
			w.exited(f, e.ExitCode)
		}
	case "destroy":
		if f != nil && f.running {
			w.ended(f, "")
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
	again := false
	for _, f := range w.running() {
		state, err := w.o.Host.State(f.c.ID)
		if errors.Is(err, fs.ErrNotExist) {
			w.ended(f, "")
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
			w.exited(f, state.ExitCode)
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
	return w.listen(sup)
}
