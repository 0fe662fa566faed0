package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"compose/engine"
	"compose/netbridge"
	"compose/orchestrator/supervisor/api"
)

func (c *Client) container(ctx context.Context, id, verb string, body, result any) error {
	return c.do(ctx, http.MethodPost, "/containers/"+url.PathEscape(id)+"/"+verb, body, result)
}

// Start starts a container; it returns once its program runs. One that runs
// already is left alone.
func (c *Client) Start(ctx context.Context, id string) error {
	return c.container(ctx, id, "start", nil, nil)
}

// Stop ends a container. A nil timeout is the container's own.
func (c *Client) Stop(ctx context.Context, id, signal string, timeout *time.Duration) error {
	return c.container(ctx, id, "stop", stopRequest(signal, timeout), nil)
}

// StopForRemoval is Stop for a container that is removed next.
func (c *Client) StopForRemoval(ctx context.Context, id string, timeout *time.Duration) error {
	req := stopRequest("", timeout)
	req.Removal = true
	return c.container(ctx, id, "stop", req, nil)
}

// Restart stops and starts a container.
func (c *Client) Restart(ctx context.Context, id string, timeout *time.Duration) error {
	return c.container(ctx, id, "restart", stopRequest("", timeout), nil)
}

func stopRequest(signal string, timeout *time.Duration) api.Stop {
	req := api.Stop{Signal: signal}
	if timeout != nil {
		s := timeout.Seconds()
		req.Timeout = &s
	}
	return req
}

// Kill sends a signal to a container.
func (c *Client) Kill(ctx context.Context, id, signal string) error {
	return c.container(ctx, id, "kill", api.Kill{Signal: signal}, nil)
}

// Pause freezes a container.
func (c *Client) Pause(ctx context.Context, id string) error {
	return c.container(ctx, id, "pause", nil, nil)
}

// Unpause lets it go on.
func (c *Client) Unpause(ctx context.Context, id string) error {
	return c.container(ctx, id, "unpause", nil, nil)
}

// Wait waits for one of the api's conditions.
func (c *Client) Wait(ctx context.Context, id, condition string) (api.Waited, error) {
	var w api.Waited
	err := c.container(ctx, id, "wait", api.Wait{Condition: condition}, &w)
	return w, err
}

// Remove takes a container away.
func (c *Client) Remove(ctx context.Context, id string, force, volumes bool) error {
	return c.container(ctx, id, "remove", api.Remove{Force: force, Volumes: volumes}, nil)
}

// Connect puts a container on one more network.
func (c *Client) Connect(ctx context.Context, id string, ep netbridge.EndpointConfig) error {
	return c.container(ctx, id, "connect", ep, nil)
}

// Disconnect takes a container off a network.
func (c *Client) Disconnect(ctx context.Context, id, network string) error {
	return c.container(ctx, id, "disconnect", api.Disconnect{Network: network}, nil)
}

// Update changes a container's limits and restart policy.
func (c *Client) Update(ctx context.Context, id string, u engine.Update) error {
	return c.container(ctx, id, "update", u, nil)
}

// Resize tells a container's terminal its size.
func (c *Client) Resize(ctx context.Context, id string, rows, columns uint16) error {
	return c.container(ctx, id, "resize", api.Resize{Rows: rows, Columns: columns}, nil)
}
