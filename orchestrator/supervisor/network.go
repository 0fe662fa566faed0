package supervisor

import (
	"context"
	"os"

	"compose/engine"
	"compose/netbridge"
)

// connect puts the container on one more network, at once if it runs.
func (c *container) connect(ctx context.Context, ep netbridge.EndpointConfig) error {
	return c.rewire(func(sandbox *netbridge.Sandbox) (*engine.Container, error) {
		return c.s.engine.Connect(ctx, c.id, ep, sandbox)
	})
}

// disconnect takes the container off a network, at once if it runs.
func (c *container) disconnect(ctx context.Context, network string) error {
	return c.rewire(func(sandbox *netbridge.Sandbox) (*engine.Container, error) {
		return c.s.engine.Disconnect(ctx, c.id, network, sandbox)
	})
}

// rewire changes the container's networks while it neither starts nor is
// removed. It may end meanwhile: then the sandbox is closed.
func (c *container) rewire(change func(*netbridge.Sandbox) (*engine.Container, error)) error {
	c.op.Lock()
	defer c.op.Unlock()
	c.mu.Lock()
	r, removed := c.run, c.removed
	c.mu.Unlock()
	if removed {
		return &engine.NotFoundError{Ref: c.id}
	}
	if r == nil || r.Sandbox == nil {
		_, err := change(nil)
		return err
	}
	held := r.Sandbox.Files()
	cfg, err := change(r.Sandbox)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run != r {
		return err
	}
	if cfg != nil {
		c.cfg = cfg
	}
	now := r.Sandbox.Files()
	more := map[string]*os.File{}
	for name, f := range now {
		if held[name] != f {
			more["net/"+name] = f
		}
	}
	c.keep(more)
	c.keepPorts(r.Started)
	for name := range held {
		if now[name] == nil {
			c.s.link.Drop(c.id + "/net/" + name)
		}
	}
	perr := c.put(func(s *engine.State) { s.Endpoints, s.Ports = r.Sandbox.Endpoints(), r.Sandbox.Ports() })
	if err == nil {
		err = perr
	}
	return err
}
