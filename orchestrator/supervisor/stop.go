package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine"
	"compose/internal/fault"
	"compose/orchestrator/supervisor/api"
)

// defaultTimeout is how long a container gets to end by itself: Docker's.
const defaultTimeout = 10 * time.Second

// parseSignal reads "SIGTERM", "TERM", "15" or the like; "" is fallback.
func parseSignal(name string, fallback unix.Signal) (unix.Signal, error) {
	if name == "" {
		return fallback, nil
	}
	if n, err := strconv.Atoi(name); err == nil {
		if n < 1 || n > 64 {
			return 0, fmt.Errorf("invalid signal: %s", name)
		}
		return unix.Signal(n), nil
	}
	upper := strings.ToUpper(name)
	if !strings.HasPrefix(upper, "SIG") {
		upper = "SIG" + upper
	}
	if sig := unix.SignalNum(upper); sig != 0 {
		return sig, nil
	}
	if rest, ok := strings.CutPrefix(upper, "SIGRTMIN+"); ok {
		if n, err := strconv.Atoi(rest); err == nil && n >= 0 && n <= 30 {
			return unix.Signal(34 + n), nil
		}
	}
	return 0, fmt.Errorf("invalid signal: %s", name)
}

// stop ends the container: by its own stop signal and, if it has not ended in
// time, by force. Its restart policy no longer counts until it is started.
func (c *container) stop(ctx context.Context, req api.Stop, byHand bool) error {
	c.op.Lock() // a start that is on its way comes first
	c.mu.Lock()
	r, cfg := c.run, c.cfg
	waiting := c.cancelRestart()
	if byHand {
		c.stoppedByHand()
	}
	var err error
	if waiting || byHand && r == nil && c.state.Status != engine.Created {
		err = c.put(func(s *engine.State) {
			if waiting {
				s.Status = engine.Exited
			}
		})
	}
	if waiting {
		c.event("stop", nil)
	}
	if r != nil && req.Removal {
		r.doom()
	}
	c.mu.Unlock()
	c.op.Unlock()
	if r == nil {
		return err
	}
	sig, err := parseSignal(cmpOr(req.Signal, cfg.Spec.StopSignal), unix.SIGTERM)
	if err != nil {
		return err
	}
	timeout := defaultTimeout
	if cfg.Spec.StopTimeout != nil {
		timeout = *cfg.Spec.StopTimeout
	}
	if req.Timeout != nil {
		timeout = time.Duration(*req.Timeout * float64(time.Second))
	}
	if err := c.signal(r, sig); err != nil {
		return err
	}
	var late <-chan time.Time
	if timeout >= 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-r.ended:
	case <-late:
		if err := c.signal(r, unix.SIGKILL); err != nil {
			return err
		}
		<-r.ended
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.event("stop", nil)
	return nil
}

// stopHeld is the name under which the keeper remembers stoppedByHand.
const stopHeld = "stopped"

// stoppedByHand notes that the restart policy does not count until the
// container is started. It comes to the disk with the end of the run; until
// then the keeper knows. The caller holds c.mu.
func (c *container) stoppedByHand() {
	c.state.StoppedByHand = true
	if c.run != nil {
		c.keep(map[string]*os.File{stopHeld: c.run.PIDFD})
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// signal sends a signal to the container's first process. A frozen one is
// thawed for the signals that end it, or it would never come to them.
func (c *container) signal(r *run, sig unix.Signal) error {
	c.mu.Lock() // until it is written down: its end is told after that
	defer c.mu.Unlock()
	if c.run != r {
		return nil // it has ended, just now
	}
	if (sig == unix.SIGKILL || sig == unix.SIGTERM) && c.state.Status == engine.Paused {
		if err := c.s.engine.Resume(c.cfg); err != nil {
			return err
		}
		_ = c.put(func(s *engine.State) { s.Status = engine.Running }) // its end follows
	}
	fault.Point("supervisor: before a signal")
	defer fault.Point("supervisor: after a signal")
	if err := c.s.engine.Kill(r.Started, sig); err != nil {
		return err
	}
	c.event("kill", map[string]string{"signal": strconv.Itoa(int(sig))})
	return nil
}

// kill sends a signal; one that ends the container also ends its restarts. After
// SIGKILL it returns once the end is in the state; other signals the container
// may take its time with.
func (c *container) kill(ctx context.Context, req api.Kill) error {
	sig, err := parseSignal(req.Signal, unix.SIGKILL)
	if err != nil {
		return err
	}
	c.op.Lock() // a start that is on its way comes first
	c.mu.Lock()
	c.op.Unlock()
	r := c.run
	stopSignal, _ := parseSignal(c.cfg.Spec.StopSignal, unix.SIGTERM)
	if sig == unix.SIGKILL || sig == stopSignal {
		c.stoppedByHand()
		if c.cancelRestart() {
			err = c.put(func(s *engine.State) { s.Status = engine.Exited })
			c.mu.Unlock()
			return err
		}
	}
	name := c.cfg.Spec.Name
	c.mu.Unlock()
	if r == nil {
		return &conflictError{fmt.Sprintf("cannot kill container: %s: container is not running", name)}
	}
	if err := c.signal(r, sig); err != nil || sig != unix.SIGKILL {
		return err
	}
	select {
	case <-r.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// conflictError says that the container's state does not allow what was asked.
type conflictError struct{ message string }

func (e *conflictError) Error() string { return e.message }

// restart stops and starts the container.
func (c *container) restart(ctx context.Context, req api.Stop) error {
	if err := c.stop(ctx, req, true); err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.event("restart", nil)
	return nil
}

// pause freezes the container, unpause lets it go on.
func (c *container) pause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.run == nil:
		return &conflictError{fmt.Sprintf("container %s is not running", c.cfg.Spec.Name)}
	case c.state.Status == engine.Paused:
		return &conflictError{fmt.Sprintf("container %s is already paused", c.cfg.Spec.Name)}
	}
	if err := c.s.engine.Pause(c.cfg); err != nil {
		return err
	}
	c.event("pause", nil)
	return c.put(func(s *engine.State) { s.Status = engine.Paused })
}

func (c *container) unpause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Status != engine.Paused || c.run == nil {
		return &conflictError{fmt.Sprintf("container %s is not paused", c.cfg.Spec.Name)}
	}
	if err := c.s.engine.Resume(c.cfg); err != nil {
		return err
	}
	c.event("unpause", nil)
	return c.put(func(s *engine.State) { s.Status = engine.Running })
}

// remove takes the container away; with force also one that runs.
func (c *container) remove(ctx context.Context, force, withVolumes bool) error {
	c.op.Lock()
	defer c.op.Unlock()
	c.mu.Lock()
	if c.removed {
		c.mu.Unlock()
		return &engine.NotFoundError{Ref: c.id}
	}
	r, name := c.run, c.cfg.Spec.Name
	if r != nil && !force {
		c.mu.Unlock()
		return &conflictError{fmt.Sprintf("cannot remove container %q: container is running: stop the container before removing or force remove", name)}
	}
	c.cancelRestart()
	c.stoppedByHand()
	c.removing = true
	if r != nil {
		r.doom()
	}
	autoRemove := c.cfg.Spec.AutoRemove
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.removing = false
		c.mu.Unlock()
	}()
	if r != nil {
		if err := c.signal(r, unix.SIGKILL); err != nil {
			return err
		}
		<-r.ended
	}
	c.mu.Lock()
	code, finished := c.state.ExitCode, c.finished
	var err error
	if !finished && len(c.unsaved) > 0 { // the engine is to look at what it has left
		err = c.s.engine.WriteState(c.id, &c.state)
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if autoRemove {
		c.s.leaveCode(c.id, code)
	}
	if err := c.s.engine.RemoveContainer(ctx, c.id, engine.RemoveOptions{Volumes: withVolumes, Ended: finished}); err != nil {
		return err
	}
	c.mu.Lock()
	c.removed = true
	close(c.changed)
	c.changed = make(chan struct{})
	for t := range c.taps {
		t.close()
		delete(c.taps, t)
	}
	for r := range c.unsaved {
		c.settle(r)
	}
	c.s.events.send(api.Event{Action: "destroy", ID: c.id}) // the journal has it from the engine
	c.mu.Unlock()
	c.s.forget(c.id, code)
	return nil
}

// isGone says that an error means that there is no such container.
func isGone(err error) bool {
	var gone *engine.NotFoundError
	return errors.As(err, &gone)
}
