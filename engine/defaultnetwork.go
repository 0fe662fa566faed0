package engine

import (
	"context"
	"errors"

	"compose/netbridge"
)

// DefaultNetwork is the network of a container that was made outside a project
// and names none. It exists while a container needs it.
const DefaultNetwork = "bridge"

// ensureNetwork sees to it that a network can take endpoints.
func (e *Engine) ensureNetwork(ctx context.Context, name string) error {
	for {
		err := e.networks.EnsureUp(ctx, name)
		if name != DefaultNetwork || !errors.Is(err, netbridge.ErrNotFound) {
			return err
		}
		_, err = e.networks.CreateNetwork(ctx, netbridge.NetworkConfig{Name: DefaultNetwork})
		if !errors.Is(err, netbridge.ErrExists) {
			return err
		}
	}
}

// dropDefaultNetwork removes the default network, if that is the one that a
// container has left, with the last container on it. One that is made meanwhile
// makes it again when it starts.
func (e *Engine) dropDefaultNetwork(ctx context.Context, left string) error {
	if left != DefaultNetwork {
		return nil
	}
	others, err := e.users(ctx, func(c *Container) bool { return c.on(DefaultNetwork) >= 0 })
	if err != nil || len(others) > 0 {
		return err
	}
	err = e.networks.RemoveNetwork(ctx, DefaultNetwork)
	if errors.Is(err, netbridge.ErrNotFound) || errors.Is(err, netbridge.ErrInUse) {
		return nil
	}
	return err
}
