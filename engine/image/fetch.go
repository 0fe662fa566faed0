package image

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"

	"compose/internal/filelock"
	"compose/internal/statefile"
)

// attempts is how often a blob is asked for before the pull gives up.
const attempts = 6

// fetch brings one blob here and returns its path. A file that an earlier try
// left is continued, not begun again. Two processes that want the same blob
// take turns, and the second finds it there.
func (p *pull) fetch(ctx context.Context, d digest.Digest, size int64) (string, error) {
	if err := d.Validate(); err != nil {
		return "", fmt.Errorf("layer digest %q: %w", d, err)
	}
	path := p.store.blobPath(d)
	part := filepath.Join(p.store.images, "partial", d.Encoded())
	lock, err := filelock.Exclusive(part + ".lock")
	if err != nil {
		return "", err
	}
	defer func() {
		_ = os.Remove(part + ".lock")
		lock.Unlock()
	}()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	p.mu.Lock()
	p.partial = append(p.partial, part)
	p.mu.Unlock()
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for try := 1; ; try++ {
		err := p.fetchRest(ctx, f, d, size)
		if err == nil {
			break
		}
		var wait *retryError
		if !errors.As(err, &wait) || try == attempts || ctx.Err() != nil {
			return "", err
		}
		delay := max(wait.after, 250*time.Millisecond<<try)
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(min(delay, 30*time.Second)):
		}
	}
	if err := f.Sync(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	if err := os.Rename(part, path); err != nil {
		return "", err
	}
	return path, statefile.SyncDir(filepath.Dir(path))
}

// retryError is a failure that another try may mend.
type retryError struct {
	err   error
	after time.Duration
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

// fetchRest asks for what f lacks and checks the whole against the digest.
func (p *pull) fetchRest(ctx context.Context, f *os.File, d digest.Digest, size int64) error {
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if have > size {
		have = 0
		if err := f.Truncate(0); err != nil {
			return err
		}
	}
	if have < size || size == 0 {
		if err := p.request(ctx, f, d, have, size); err != nil {
			return err
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := digest.NewDigest(digest.SHA256, sum); got != d {
		// Whatever this is, it is nothing to go on from.
		if err := f.Truncate(0); err != nil {
			return err
		}
		return fmt.Errorf("layer %s: the registry sent content with the digest %s", d, got)
	}
	return nil
}

func (p *pull) request(ctx context.Context, f *os.File, d digest.Digest, have, size int64) error {
	url := fmt.Sprintf("%s://%s/v2/%s/blobs/%s", p.repo.Scheme(), p.repo.RegistryStr(), p.repo.RepositoryStr(), d)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if have > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(have, 10)+"-")
	}
	reply, err := (&http.Client{Transport: p.transport}).Do(req)
	if err != nil {
		return &retryError{err: err}
	}
	defer reply.Body.Close()
	switch {
	case reply.StatusCode == http.StatusPartialContent:
	case reply.StatusCode == http.StatusOK:
		have = 0 // the registry knows no ranges
	case reply.StatusCode == http.StatusTooManyRequests || reply.StatusCode >= 500:
		return &retryError{err: fmt.Errorf("the registry answered %s", reply.Status), after: retryAfter(reply)}
	default:
		return fmt.Errorf("layer %s: the registry answered %s", d, reply.Status)
	}
	if _, err := f.Seek(have, io.SeekStart); err != nil {
		return err
	}
	if err := f.Truncate(have); err != nil {
		return err
	}
	w := &progressWriter{p: p, f: f, layer: d.Encoded()[:12], done: have, total: size}
	// One byte more than announced is enough to know that it is wrong.
	n, err := io.Copy(w, io.LimitReader(reply.Body, size-have+1))
	if w.err != nil {
		return w.err
	}
	if err != nil {
		return &retryError{err: fmt.Errorf("the transfer broke off: %w", err)}
	}
	if have+n < size {
		return &retryError{err: fmt.Errorf("the transfer broke off after %d of %d bytes", have+n, size)}
	}
	return nil
}

func retryAfter(reply *http.Response) time.Duration {
	seconds, err := strconv.Atoi(reply.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// progressWriter tells of what arrives, ten times a second at most. It keeps
// its own error apart from the network's.
type progressWriter struct {
	p           *pull
	f           *os.File
	layer       string
	done, total int64
	told        time.Time
	err         error
}

func (w *progressWriter) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	w.done += int64(n)
	if err != nil {
		w.err = err
		return n, err
	}
	if now := time.Now(); now.Sub(w.told) > 100*time.Millisecond || w.done == w.total {
		w.told = now
		w.p.say(w.layer, "Downloading", w.done, w.total)
	}
	return n, nil
}

// discardPartial frees the space of unfinished downloads.
func (p *pull) discardPartial() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, path := range p.partial {
		_ = os.Remove(path)
	}
}
