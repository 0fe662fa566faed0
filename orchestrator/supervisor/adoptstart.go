package supervisor

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"compose/engine"
	"compose/engine/runtime"
	"compose/orchestrator/keeper"
)

// startHeld is the directory, among what the keeper holds for a container, for
// a start that is under way.
const startHeld = "starting"

// begun is the process of a start that is under way. The name under which the
// keeper holds its pidfd says all that the state on disk will.
type begun struct {
	pid   int
	ticks uint64
	at    time.Time
}

func (b begun) String() string { return fmt.Sprintf("%d.%d.%d", b.pid, b.ticks, b.at.UnixNano()) }

// underWay finds the start of a container that the last supervisor did not
// come to the end of.
func underWay(left map[string]*os.File, id string) (b begun, ok bool) {
	for name := range files(left, id, startHeld+"/") {
		var at int64
		if _, err := fmt.Sscanf(strings.ReplaceAll(name, ".", " "), "%d %d %d", &b.pid, &b.ticks, &at); err == nil {
			b.at = time.Unix(0, at).UTC()
			return b, true
		}
	}
	return b, false
}

// adoptStart brings to an end what the last supervisor had begun: the container
// runs, or it has ended already, or its program was never let go.
func (c *container) adoptStart(ctx context.Context, b begun, left map[string]*os.File) {
	const patience = 30 * time.Second // its maker is dead, so it ends: on a loaded machine in a while
	for deadline := time.Now().Add(patience); !runtime.Ended(b.pid, b.ticks) && !runtime.Released(b.pid, keeper.SupervisorName); {
		if time.Now().After(deadline) {
			break // it calls itself so
		}
		time.Sleep(time.Millisecond) // it is just ending: its pipe from the last supervisor has
	}
	if runtime.Ended(b.pid, b.ticks) && c.orphanExit(b.pid, files(left, c.id, "")["pidfd"], b.ticks) == runtime.NeverRan {
		c.neverStarted(ctx, b.pid)
		return
	}
	if c.s.engine.NotLetGo(c.id) {
		c.neverStarted(ctx, b.pid)
		return
	}
	c.mu.Lock()
	c.s.warn(c, "note its start", c.put(func(s *engine.State) {
		c.startedState(s, b.at)
		s.PID, s.PIDStart = b.pid, b.ticks
	}))
	c.s.link.Drop(c.id + "/" + startHeld)
	c.started()
	c.mu.Unlock()
	c.adopt(ctx, left)
}

// neverStarted takes back what was made for a start that did not come to be.
func (c *container) neverStarted(ctx context.Context, pid int) {
	c.s.link.Noted(pid)
	c.s.link.Drop(c.id)
	c.s.warn(c, "give back what its start has made", c.s.engine.Finish(ctx, c.id))
	c.mu.Lock()
	restarting := c.state.Status == engine.Restarting
	c.mu.Unlock()
	if restarting {
		c.restartSoon()
	}
}
