package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"compose/engine"
	"compose/internal/deepstack"
	"compose/internal/sparsejson"
	"compose/internal/trace"
	"compose/netbridge"
	"compose/orchestrator/supervisor/api"
)

// Version is what /info says; the command sets it at start-up.
var Version = "dev"

// handler routes the requests of the API.
func (s *supervisor) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api.Prefix+"/info", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, api.Info{Version: Version, PID: os.Getpid(), Project: s.project})
	})
	mux.HandleFunc("GET "+api.Prefix+"/events", s.streamEvents)
	mux.HandleFunc("POST "+api.Prefix+"/exit-when-idle", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, struct{}{}) // it does so by itself once this connection is closed
	})
	verb := func(name string, do func(context.Context, *container, *http.Request) (any, error)) {
		mux.HandleFunc("POST "+api.Prefix+"/containers/{id}/"+name, func(w http.ResponseWriter, r *http.Request) {
			deepstack.Grow()
			defer trace.Join(r.Header.Get(api.TraceHeader))()
			defer trace.Begin(name, r.PathValue("id")).End()
			again, retried := repeated(r)
			c, err := s.get(r.Context(), r.PathValue("id"))
			if isGone(err) && retried && name == "remove" {
				reply(w, nil)
				return
			}
			if err != nil {
				code, ok := s.exitCodeOf(r.PathValue("id"))
				switch {
				case ok && name == "wait":
					reply(w, api.Waited{ExitCode: code, Status: "removed"})
					return
				case ok && name == "start" && retried: // it ran, and has ended since
					reply(w, struct{}{})
					return
				}
				fail(w, err)
				return
			}
			if name == "attach" {
				c.attach(w, r)
				return
			}
			if retried && c.done(name, again) {
				reply(w, struct{}{})
				return
			}
			answer, err := do(r.Context(), c, r)
			if err != nil {
				fail(w, err)
				return
			}
			reply(w, answer)
		})
	}
	verb("start", func(ctx context.Context, c *container, _ *http.Request) (any, error) {
		err := c.start(context.WithoutCancel(ctx))
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.state, err
	})
	verb("stop", func(ctx context.Context, c *container, r *http.Request) (any, error) {
		var req api.Stop
		if err := read(r, &req); err != nil {
			return nil, err
		}
		return nil, c.stop(ctx, req, true)
	})
	verb("restart", func(ctx context.Context, c *container, r *http.Request) (any, error) {
		var req api.Stop
		if err := read(r, &req); err != nil {
			return nil, err
		}
		return nil, c.restart(context.WithoutCancel(ctx), req)
	})
	verb("kill", func(ctx context.Context, c *container, r *http.Request) (any, error) {
		var req api.Kill
		if err := read(r, &req); err != nil {
			return nil, err
		}
		return nil, c.kill(ctx, req)
	})
	verb("pause", func(_ context.Context, c *container, _ *http.Request) (any, error) { return nil, c.pause() })
	verb("unpause", func(_ context.Context, c *container, _ *http.Request) (any, error) { return nil, c.unpause() })
	verb("wait", func(ctx context.Context, c *container, r *http.Request) (any, error) {
		var req api.Wait
		if err := read(r, &req); err != nil {
			return nil, err
		}
		return c.wait(ctx, req.Condition)
	})
	verb("remove", func(ctx context.Context, c *container, r *http.Request) (any, error) {
		var req api.Remove
		if err := read(r, &req); err != nil {
			return nil, err
		}
		return nil, c.remove(context.WithoutCancel(ctx), req.Force, req.Volumes)
	})
	verb("connect", func(ctx context.Context, c *container, r *http.Request) (any, error) {
		var req netbridge.EndpointConfig
		if err := read(r, &req); err != nil {
			return nil, err
		}
		return nil, c.connect(context.WithoutCancel(ctx), req)
	})
	verb("disconnect", func(ctx context.Context, c *container, r *http.Request) (any, error) {
		var req api.Disconnect
		if err := read(r, &req); err != nil {
			return nil, err
		}
		return nil, c.disconnect(context.WithoutCancel(ctx), req.Network)
	})
	verb("update", func(_ context.Context, c *container, r *http.Request) (any, error) {
		var req engine.Update
		if err := read(r, &req); err != nil {
			return nil, err
		}
		return nil, c.update(req)
	})
	verb("resize", func(_ context.Context, c *container, r *http.Request) (any, error) {
		var req api.Resize
		if err := read(r, &req); err != nil {
			return nil, err
		}
		return nil, c.resize(req)
	})
	verb("attach", nil)
	return mux
}

// repeated says whether a request was made to an earlier supervisor, and when.
func repeated(r *http.Request) (first time.Time, retried bool) {
	n, err := strconv.ParseInt(r.Header.Get(api.Again), 10, 64)
	return time.Unix(0, n), err == nil
}

// done says whether what a request asks for, first made then, has been done by
// a supervisor that died before it could say so, and must not be done twice.
func (c *container) done(name string, first time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch name {
	case "start":
		return c.state.StartedAt.After(first) // also one that has ended since
	case "kill":
		return c.run == nil && c.state.FinishedAt.After(first)
	case "pause":
		return c.state.Status == engine.Paused
	case "unpause":
		return c.state.Status == engine.Running
	}
	return false
}

// badRequest is a request that makes no sense.
type badRequest struct{ err error }

func (e *badRequest) Error() string { return "bad request: " + e.err.Error() }

func read(r *http.Request, into any) error {
	err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(into)
	if err != nil && !errors.Is(err, io.EOF) {
		return &badRequest{err}
	}
	return nil
}

func reply(w http.ResponseWriter, answer any) {
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	data, err := sparsejson.Marshal(answer)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(data, '\n')) // the client may be gone
}

func fail(w http.ResponseWriter, err error) {
	body := api.Error{Message: err.Error()}
	status := http.StatusInternalServerError
	var start *startError
	var conflict *conflictError
	var bad *badRequest
	switch {
	case errors.As(err, &start):
		body.Code = start.code
	case isGone(err):
		status = http.StatusNotFound
	case errors.As(err, &conflict):
		status = http.StatusConflict
	case errors.As(err, &bad):
		status = http.StatusBadRequest
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // likewise
}
