package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// attempts is how often something is asked for before it counts as failed.
const attempts = 6

// TemporaryError is a failure that another try may mend.
type TemporaryError struct {
	Err   error
	After time.Duration // how long the registry asks to wait; 0: it does not say
}

func (e *TemporaryError) Error() string { return e.Err.Error() }
func (e *TemporaryError) Unwrap() error { return e.Err }

// Retry calls fn again, later each time, while it fails with *TemporaryError.
func Retry(ctx context.Context, fn func() error) error {
	for try := 1; ; try++ {
		err := fn()
		var again *TemporaryError
		if err == nil || !errors.As(err, &again) || try == attempts || ctx.Err() != nil {
			return err
		}
		delay := max(again.After, 125*time.Millisecond<<try)
		delay += time.Duration(rand.Int64N(int64(delay)/10 + 1))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(delay, 30*time.Second)):
		}
	}
}

func isTemporary(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500 && status != http.StatusNotImplemented
}

// check turns a reply with none of the statuses into an error.
func check(reply *http.Response, statuses ...int) error {
	for _, s := range statuses {
		if reply.StatusCode == s {
			return nil
		}
	}
	if isTemporary(reply.StatusCode) {
		return &TemporaryError{Err: fmt.Errorf("the registry answered %s", reply.Status), After: retryAfter(reply)}
	}
	reply.Body = http.MaxBytesReader(nil, reply.Body, maxDescription)
	return transport.CheckError(reply, statuses...)
}

func retryAfter(reply *http.Response) time.Duration {
	seconds, err := strconv.Atoi(reply.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds), 60) * time.Second
}

// temporary wraps the errors of a connection, which may be gone a moment later.
func temporary(ctx context.Context, err error) error {
	var t *transport.Error
	if ctx.Err() != nil || errors.As(err, &t) && !isTemporary(t.StatusCode) {
		return err
	}
	return &TemporaryError{Err: err}
}
