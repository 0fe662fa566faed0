package supervisor

import "compose/engine"

// update changes the container's limits and restart policy, at once if it runs.
func (c *container) update(u engine.Update) error {
	c.op.Lock()
	defer c.op.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.removed {
		return &engine.NotFoundError{Ref: c.id}
	}
	cfg, err := c.s.engine.Update(c.id, u, c.run != nil)
	if err != nil {
		return err
	}
	c.cfg = cfg
	return nil
}
