package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"time"

	"compose/orchestrator/keeper"
	"compose/orchestrator/supervisor/api"
)

// Patience is how long a supervisor may take to come up and say who it is. One
// that has many containers to take over, on a loaded machine, is to be done by
// then: who takes longer hangs, or somebody has stopped it.
var Patience = time.Minute

// Info asks who the supervisor is.
func (c *Client) Info(ctx context.Context) (api.Info, error) {
	asking, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	type answer struct {
		info api.Info
		err  error
	}
	answered := make(chan answer, 1)
	go func() { // it may wait for a lock, which nothing cuts short
		var a answer
		// Without a socket there is nobody to ask, which HTTP takes longer to find
		// out than a supervisor to come up.
		if _, err := os.Lstat(api.Socket(c.roots, c.project)); errors.Is(err, fs.ErrNotExist) {
			a.err = c.come(asking)
		}
		if a.err == nil {
			a.err = c.do(asking, http.MethodGet, "/info", nil, &a.info)
		}
		answered <- a
	}()
	select {
	case a := <-answered:
		if a.err != nil && asking.Err() != nil && ctx.Err() == nil {
			a.err = c.hangs()
		}
		if a.err == nil {
			keeper.Early().Close() // there is one already
		}
		return a.info, a.err
	case <-asking.Done():
		if ctx.Err() != nil {
			return api.Info{}, ctx.Err()
		}
		return api.Info{}, c.hangs()
	}
}

// come waits for a supervisor that is about to come or, if it may, has one started.
func (c *Client) come(ctx context.Context) error {
	if c.spawn {
		return ensure(ctx, c.roots, c.project)
	}
	return join(ctx, c.roots, c.project)
}

// hangs says who it is that does not answer, and what to do about it.
func (c *Client) hangs() error {
	order := keeper.Order{State: c.roots.State, Run: c.roots.Run, Project: c.project}
	for _, name := range []string{keeper.SupervisorName, keeper.Name} {
		if pids := order.Processes(name); len(pids) > 0 {
			return fmt.Errorf("%s of project %s, process %d, has not answered for %s: end it with \"kill -9 %[3]d\", which disturbs no container, and try again; its log is %[5]s",
				name, c.project, pids[0], Patience, api.Log(c.roots, c.project))
		}
	}
	return fmt.Errorf("the supervisor of project %s has not come up for %s: another program has locked %s or %s; find it with lslocks, end it and try again",
		c.project, Patience, api.Lock(c.roots, c.project), api.SpawnLock(c.roots, c.project))
}
