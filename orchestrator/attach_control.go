package orchestrator

import (
	"context"
	"errors"
	"fmt"

	"compose/engine"
)

// AttachControl is what the user may ask of an `up` in the foreground.
type AttachControl int

// What may be asked for.
const (
	ToggleWatch AttachControl = iota // begin or end to watch files
	Detach                           // leave the containers to themselves
)

// controls carries out what the user asks for until until is closed.
func (a *attached) controls(until <-chan struct{}) {
	for {
		select {
		case <-until:
			return
		case c := <-a.Controls:
			switch c {
			case Detach:
				a.endWatch()
				a.w.cancel()
			case ToggleWatch:
				if !a.endWatch() {
					a.beginWatch()
				}
			}
		}
	}
}

// beginWatch watches files until endWatch or the end of the attachment.
func (a *attached) beginWatch() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unwatch != nil || a.interrupted {
		return
	}
	ctx, cancel := context.WithCancel(a.w.ctx)
	ended := make(chan struct{})
	a.unwatch = func() {
		cancel()
		<-ended
	}
	opts := *a.Watch
	opts.Sink, opts.busy = a.Sink, a.working
	a.watchState(true)
	go func() {
		err := a.o.Watch(ctx, a.project, opts)
		close(ended)
		if err == nil || ctx.Err() != nil {
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.unwatch = nil
		a.watchState(false)
		a.Say(fmt.Sprintf("Watch: %v", err))
		if a.WatchNow {
			a.err = errors.Join(a.err, err)
			a.w.poke()
		}
	}()
}

// endWatch ends watching and says whether there was any.
func (a *attached) endWatch() bool {
	a.mu.Lock()
	unwatch := a.unwatch
	a.unwatch = nil
	a.mu.Unlock()
	if unwatch == nil {
		return false
	}
	unwatch()
	a.watchState(false)
	return true
}

func (a *attached) watchState(on bool) {
	if a.Watching != nil {
		a.Watching(on)
	}
}

// working is told when the containers are changed because files changed: that
// they end then is not the end.
func (a *attached) working(begins bool) {
	a.mu.Lock()
	if begins {
		a.changing++
	} else {
		a.changing--
	}
	a.mu.Unlock()
	a.w.poke()
}

// wasChanged says whether a container that ended has been replaced, or runs
// again.
func (a *attached) wasChanged(c *Container) bool {
	state, err := a.o.Host.State(c.ID)
	return a.changing > 0 || err != nil || state.Status == engine.Running
}
