package engine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"compose/netbridge"
)

// CheckConnect says why a container cannot come to a network, in Docker's
// words, or nil.
func (c *Container) CheckConnect(network string) error {
	mode := c.Spec.NetworkMode
	switch {
	case network == "host":
		return errHostNetwork
	case mode == "host" || strings.HasPrefix(mode, "container:"):
		return errors.New("container sharing network namespace with another container or host cannot be connected to any other network")
	case mode == "none":
		return errors.New("container cannot be connected to multiple networks with one of the networks in private (none) mode; disconnect it from none first")
	case network == "none":
		return errors.New("container cannot be connected to multiple networks with one of the networks in private (none) mode")
	case c.on(network) >= 0:
		return fmt.Errorf("endpoint with name %s already exists in network %s", c.Spec.Name, network)
	}
	return nil
}

// CheckDisconnect says why a container cannot leave a network, or nil.
func (c *Container) CheckDisconnect(network string) error {
	switch {
	case network == "host":
		return errHostNetwork
	case c.on(network) < 0 && (network != "none" || c.Spec.NetworkMode != "none"):
		return fmt.Errorf("container %s is not connected to network %s", c.Spec.Name, network)
	}
	return nil
}

var errHostNetwork = errors.New("container cannot be disconnected from host network or connected to host network")

// on is the place of a network among those of the container, or -1.
func (c *Container) on(network string) int {
	return slices.IndexFunc(c.Spec.Networks, func(n netbridge.EndpointConfig) bool { return n.Network == network })
}

// Connect puts a container on one more network: at once if it runs, in the
// sandbox given, and whenever it starts. Its record is the last to be written:
// what a crash has left in a sandbox before that, Adopt takes away. To ask for
// the same again is no error.
func (e *Engine) Connect(ctx context.Context, id string, want netbridge.EndpointConfig, running *netbridge.Sandbox) (_ *Container, err error) {
	c, err := e.read(id)
	if err != nil {
		return nil, err
	}
	if i := c.on(want.Network); i >= 0 && reflect.DeepEqual(c.Spec.Networks[i], want) {
		return c, nil
	}
	if err := c.CheckConnect(want.Network); err != nil {
		return nil, err
	}
	if running != nil {
		err = e.plug(ctx, want, running)
		if errors.Is(err, netbridge.ErrClosed) {
			running, err = nil, nil
		}
	}
	if running == nil && want.Network != DefaultNetwork { // that one may not exist before the start
		err = e.networks.CheckEndpoint(want)
	}
	if err == nil && running != nil {
		err = e.changeHosts(c, nil, running.Endpoints())
	}
	if err == nil {
		c, err = e.changeSpec(id, func(now *Container) error {
			if err := now.CheckConnect(want.Network); err != nil {
				return err
			}
			now.Spec.Networks = append(now.Spec.Networks, want)
			return nil
		})
	}
	if err == nil {
		return c, nil
	}
	if running != nil {
		if off := running.Disconnect(ctx, want.Network); !errors.Is(off, netbridge.ErrNotConnected) {
			err = errors.Join(err, off)
		}
	}
	return nil, errors.Join(err, e.dropDefaultNetwork(ctx, want.Network))
}

// plug connects a running container. The default network is made if need be,
// again if the last container on it has just taken it away.
func (e *Engine) plug(ctx context.Context, want netbridge.EndpointConfig, running *netbridge.Sandbox) error {
	for {
		if err := e.ensureNetwork(ctx, want.Network); err != nil {
			return err
		}
		err := running.Connect(ctx, want)
		if want.Network != DefaultNetwork || !errors.Is(err, netbridge.ErrNotFound) {
			return err
		}
	}
}

// Disconnect takes a container off a network: from its record first, which is
// what an Adopt after a crash goes by, and, if it runs, out of the sandbox
// given. It is no error where it is not on it.
func (e *Engine) Disconnect(ctx context.Context, id, network string, running *netbridge.Sandbox) (*Container, error) {
	c, err := e.changeSpec(id, func(c *Container) error {
		if network == "none" && c.Spec.NetworkMode == "none" {
			c.Spec.NetworkMode = ""
		}
		c.Spec.Networks = slices.DeleteFunc(c.Spec.Networks, func(n netbridge.EndpointConfig) bool { return n.Network == network })
		return nil
	})
	if err != nil {
		return nil, err
	}
	if running != nil {
		before := running.Endpoints()
		err := running.Disconnect(ctx, network)
		if err != nil && !errors.Is(err, netbridge.ErrNotConnected) {
			return c, err
		}
		if err := e.changeHosts(c, before, running.Endpoints()); err != nil {
			return c, err
		}
	}
	return c, e.dropDefaultNetwork(ctx, network)
}
