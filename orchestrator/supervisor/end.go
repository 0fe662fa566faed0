package supervisor

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"compose/engine"
	"compose/internal/fault"
	"compose/internal/pidfd"
	"compose/internal/trace"
	"compose/orchestrator/supervisor/api"
)

// How long a restarted container must run for its delay to begin anew, and
// the delays: Docker's.
const (
	firstDelay   = 100 * time.Millisecond
	longestDelay = time.Minute
	longEnough   = 10 * time.Second
)

// watch waits for the end of a run and does what follows from it.
func (c *container) watch(r *run, copying *sync.WaitGroup, adopted bool) {
	code := c.reap(r, adopted)
	r.cancel()
	// All processes of the container have ended with the first; their last
	// words come before its end is told.
	fault.Point("supervisor: reaped")
	copying.Wait()
	fault.Point("supervisor: output copied")
	c.ended(r, code)
}

// reap waits for the process and returns its exit code, as Docker counts. The
// kernel keeps that until it is in the state: see noted.
func (c *container) reap(r *run, adopted bool) int {
	if !adopted {
		status, err := pidfd.Peek(r.PIDFD)
		if err != nil {
			c.s.warn(c, "wait for its end", err)
			return 255
		}
		r.ours = true
		return exitCode(status)
	}
	if err := pidfd.Ended(r.PIDFD); err != nil {
		c.s.warn(c, "wait for its end", err)
	}
	return c.orphanExit(r.PID, r.PIDFD, r.StartTicks)
}

// orphanExit is the exit code of a process that we have not started. The
// keeper is its parent; or, where a keeper died after the supervisor that had
// started it, the machine's first process, which may take its time. So the
// kernel is asked too.
func (c *container) orphanExit(pid int, f *os.File, startTicks uint64) int {
	const patience = 10 * time.Second // the keeper, on a loaded machine, has had its turn by then
	told := make(chan syscall.WaitStatus, 1)
	go func() {
		if status, ok := pidfd.Exit(f, pid, patience); ok {
			told <- status
		}
	}()
	select {
	case e := <-c.s.link.Exit(pid, startTicks):
		return exitCode(e.Status)
	case status := <-told:
		return exitCode(status)
	case <-time.After(patience):
		return 255
	}
}

// noted is called when the end of a run is in the state: nobody else needs to
// remember it. The caller holds c.mu.
func (c *container) noted(r *run) {
	if r.ours {
		if err := pidfd.Reap(r.PIDFD); err != nil {
			fmt.Fprintf(os.Stderr, "supervisor: container %s: %v\n", c.cfg.Spec.Name, err)
		}
	}
	c.s.link.Noted(r.PID)
}

func exitCode(s syscall.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}

// ended notes the end of a run, gives back what it used, and restarts the
// container if it is to be.
func (c *container) ended(r *run, code int) {
	ctx := context.Background()
	c.mu.Lock()
	cfg := c.cfg
	c.mu.Unlock()
	ending := trace.Begin("give back what it used", c.id)
	oom := c.s.engine.OOMKilled(cfg)
	unfinished := c.s.engine.Ended(ctx, cfg, r.Started)
	c.s.warn(c, "give back what it used", unfinished)
	ending.End()
	fault.Point("supervisor: finished")

	c.mu.Lock()
	again := c.again(code)
	if again {
		c.delay = nextDelay(c.delay, time.Since(r.began))
	}
	next := c.state
	next.Status, next.PID, next.PIDStart, next.Endpoints, next.Ports = engine.Exited, 0, 0, nil, nil
	next.ExitCode, next.FinishedAt, next.OOMKilled = code, time.Now().UTC(), oom
	if again {
		next.Status = engine.Restarting
		next.RestartCount++
	}
	var err error
	if again {
		c.spare(r)
	}
	if !r.doomed {
		err = c.s.engine.WriteState(c.id, &next)
	}
	c.set(next)
	if c.stdin != nil {
		c.stdin.Close()
	}
	r.code = code
	c.run, c.stdin, c.finished = nil, nil, unfinished == nil
	for t := range c.taps {
		if !again {
			t.close()
			delete(c.taps, t)
		}
	}
	if oom {
		c.event("oom", nil)
	}
	c.event("die", map[string]string{"exitCode": strconv.Itoa(code), "execDuration": strconv.Itoa(int(time.Since(r.began).Seconds()))})
	c.s.events.send(api.Event{Action: "die", ID: c.id, ExitCode: code, Restarting: again})
	if again {
		c.timer = time.AfterFunc(c.delay, c.restartNow)
	}
	autoRemove := cfg.Spec.AutoRemove && !again
	c.removing = autoRemove
	if err != nil {
		fmt.Fprintf(os.Stderr, "supervisor: container %s: note its end: %v\n", cfg.Spec.Name, err)
	}
	if c.unsaved == nil {
		c.unsaved = map[*run]bool{}
	}
	c.unsaved[r] = true
	if err != nil || r.doomed {
		c.saveLater(r)
	} else {
		fault.Point("supervisor: end on disk")
		c.settle(r)
	}
	if !r.doomed {
		c.s.link.Drop(c.id) // before another run can have anything there
	}
	close(r.ended)
	c.mu.Unlock()

	if autoRemove {
		c.s.warn(c, "remove it", c.remove(ctx, true, true))
	}
	c.s.leaveIfIdle()
}

// saveLater writes the state once that can be done again, as when there is room
// on a disk that was full, or where the removal that was to follow has not come.
// Until then the kernel or the keeper remembers how the run ended.
func (c *container) saveLater(r *run) {
	time.AfterFunc(time.Second, func() {
		c.mu.Lock()
		switch {
		case !c.unsaved[r]:
		case c.s.engine.WriteState(c.id, &c.state) != nil:
			c.saveLater(r)
		default:
			c.settle(r)
		}
		c.mu.Unlock()
		c.s.leaveIfIdle()
	})
}

// settle lets go of a run whose end is on disk, or whose container is not any
// more. The caller holds c.mu.
func (c *container) settle(r *run) {
	delete(c.unsaved, r)
	c.noted(r)
	fault.Point("supervisor: end noted")
	r.PIDFD.Close()
	if c.removed {
		c.s.unmount(r.files)
		r.files = nil
	}
	c.spare(r)
}

// again says whether the restart policy starts the container again. The
// caller holds c.mu.
func (c *container) again(code int) bool {
	if c.state.StoppedByHand || c.removed {
		return false
	}
	switch p := c.cfg.Spec.Restart; p.Name {
	case "always", "unless-stopped":
		return true
	case "on-failure":
		return code != 0 && (p.MaxRetries == 0 || c.state.RestartCount < p.MaxRetries)
	}
	return false
}

// nextDelay doubles the delay of the last restart, unless the container has
// run long enough since.
func nextDelay(last, ran time.Duration) time.Duration {
	if last == 0 || ran >= longEnough {
		return firstDelay
	}
	return min(2*last, longestDelay)
}

// restartNow is what the restart policy asked for.
func (c *container) restartNow() {
	c.op.Lock()
	defer c.op.Unlock()
	c.mu.Lock()
	due := c.timer != nil && c.run == nil && !c.removed
	c.timer, c.restarting = nil, due
	c.mu.Unlock()
	if !due {
		return
	}
	err := c.beginAgain(context.Background())
	c.mu.Lock()
	goesOn := c.timer != nil
	c.mu.Unlock()
	if err != nil && !goesOn {
		c.s.warn(c, "start it again", err)
		c.s.leaveIfIdle()
	}
}

// beginAgain begins a run that the restart policy asked for. The caller holds
// c.op and has set c.restarting.
func (c *container) beginAgain(ctx context.Context) error {
	err := c.begin(ctx)
	var unnoted error
	c.mu.Lock()
	c.restarting = false
	if err != nil && c.again(c.state.ExitCode) {
		// The policy goes on trying, as with a process that fails at once.
		c.delay = nextDelay(c.delay, 0)
		c.timer = time.AfterFunc(c.delay, c.restartNow)
		unnoted = c.put(func(s *engine.State) {
			s.Status = engine.Restarting
			s.RestartCount++
		})
	}
	c.mu.Unlock()
	c.s.warn(c, "note that it could not be started again", unnoted)
	return err
}

// cancelRestart gives up a restart that is due. The caller holds c.mu.
func (c *container) cancelRestart() bool {
	if c.timer == nil {
		return false
	}
	c.timer.Stop()
	c.timer = nil
	return true
}
