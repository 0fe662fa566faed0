// Package client talks to the supervisor of a project, and starts it where
// there is none.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"compose/internal/roots"
	"compose/internal/trace"
	"compose/orchestrator/supervisor/api"
)

// ErrNotRunning says that the project has no supervisor.
var ErrNotRunning = errors.New("the project has no supervisor")

// Error is what the supervisor answered instead of a success. One that says
// that there is no such container matches fs.ErrNotExist.
type Error struct {
	Message string
	Code    int // 125 to 128: the program could not be run
	Status  int // of HTTP
}

func (e *Error) Error() string { return e.Message }

// Is lets errors.Is match fs.ErrNotExist.
func (e *Error) Is(target error) bool {
	return e.Status == http.StatusNotFound && target == fs.ErrNotExist
}

// Client is a connection to one project's supervisor. As long as it is open
// the supervisor stays.
type Client struct {
	roots   roots.Roots
	project string
	spawn   bool // start the supervisor again, should it have left
	http    *http.Client
}

func newClient(r roots.Roots, project string, spawn bool) *Client {
	c := &Client{roots: r, project: project, spawn: spawn}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
		MaxIdleConnsPerHost: 1024,
		DisableCompression:  true,
	}}
	return c
}

// dial connects to the socket.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", api.Socket(c.roots, c.project))
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotRunning
	}
	return conn, err
}

// Dial connects to the project's supervisor, or says ErrNotRunning.
func Dial(ctx context.Context, r roots.Roots, project string) (*Client, error) {
	c := newClient(r, project, false)
	_, err := c.Info(ctx)
	return c, err
}

// Connect connects to the project's supervisor and starts it if need be.
func Connect(ctx context.Context, r roots.Roots, project string) (*Client, error) {
	c := newClient(r, project, true)
	_, err := c.Info(ctx)
	return c, err
}

// Close lets the supervisor go if nothing else keeps it.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// lost says that a request reached nobody who does something about it: there
// is no supervisor, or it left when we knocked.
func lost(err error) bool {
	for _, gone := range []error{ErrNotRunning, io.EOF, io.ErrUnexpectedEOF, unix.ECONNRESET, unix.EPIPE} {
		if errors.Is(err, gone) {
			return true
		}
	}
	// net/http has no name for this one: it died before it was asked.
	return err != nil && strings.Contains(err.Error(), "server closed idle connection")
}

// open sends a request and returns the answer, which is a success. All
// requests can be repeated: the second time there is nothing left to do.
func (c *Client) open(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	for try, first := 0, time.Now(); ; try++ {
		req, err := http.NewRequestWithContext(ctx, method, "http://supervisor"+api.Prefix+path, bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		if try > 0 {
			req.Header.Set(api.Again, strconv.FormatInt(first.UnixNano(), 10))
		}
		if file := trace.Path(); file != "" {
			req.Header.Set(api.TraceHeader, file)
		}
		resp, err := c.http.Do(req)
		if err == nil {
			return resp, answered(resp)
		}
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		switch {
		case ctx.Err() != nil || !lost(err):
			return nil, err
		case try == 10:
			return nil, fmt.Errorf("the supervisor of project %s does not answer: %w; see %s", c.project, err, api.Log(c.roots, c.project))
		}
		if err := c.come(ctx); err != nil {
			return nil, err
		}
	}
}

// answered reads the error out of an answer that is none.
func answered(resp *http.Response) error {
	if resp.StatusCode < 300 {
		return nil
	}
	defer resp.Body.Close()
	var body api.Error
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&body); err != nil {
		body.Message = "the supervisor answered " + resp.Status
	}
	return &Error{Message: body.Message, Code: body.Code, Status: resp.StatusCode}
}

// do sends a request and decodes the answer into result, if it is not nil.
func (c *Client) do(ctx context.Context, method, path string, body, result any) error {
	for try := 0; ; try++ {
		resp, err := c.open(ctx, method, path, body)
		if err != nil {
			return err
		}
		if result != nil {
			err = json.NewDecoder(resp.Body).Decode(result)
		}
		_, _ = io.Copy(io.Discard, resp.Body) // so that the connection can be used again
		resp.Body.Close()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil || !lost(err) || try == 10:
			return fmt.Errorf("read the supervisor's answer: %w", err)
		}
	}
}

// Events are what happens from now on, until ctx is done or the supervisor
// leaves; then the channel is closed.
func (c *Client) Events(ctx context.Context) (<-chan api.Event, error) {
	resp, err := c.open(ctx, http.MethodGet, "/events", nil)
	if err != nil {
		return nil, err
	}
	events := make(chan api.Event, 64)
	go func() {
		defer close(events)
		defer resp.Body.Close()
		dec := json.NewDecoder(resp.Body)
		for {
			var e api.Event
			if dec.Decode(&e) != nil {
				return
			}
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	return events, nil
}
