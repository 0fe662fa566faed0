package image

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"

	"compose/engine/image/registry"
	"compose/internal/fault"
	"compose/internal/filelock"
	"compose/internal/statefile"
)

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
	defer lock.Unlock()
	if _, err := os.Stat(path); err == nil {
		_ = os.Remove(part + ".lock")
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
	if err := registry.Retry(ctx, func() error { return p.fetchRest(ctx, f, d, size) }); err != nil {
		return "", err
	}
	fault.Point("image: blob fetched")
	if err := f.Sync(); err != nil {
		return "", err
	}
	if err := statefile.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	fault.Point("image: blob written")
	if err := os.Rename(part, path); err != nil {
		return "", err
	}
	fault.Point("image: blob there")
	// Not before: whoever waits for this lock has to find the blob here.
	_ = os.Remove(part + ".lock")
	return path, statefile.SyncDir(filepath.Dir(path))
}

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
	body, have, err := p.client.Blob(ctx, d, have)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := f.Seek(have, io.SeekStart); err != nil {
		return err
	}
	if err := f.Truncate(have); err != nil {
		return err
	}
	w := &progressWriter{p: p, f: f, layer: d.Encoded()[:12], done: have, total: size}
	// One byte more than announced is enough to know that it is wrong.
	n, err := io.Copy(w, io.LimitReader(body, size-have+1))
	if w.err != nil {
		return w.err
	}
	if err != nil {
		return &registry.TemporaryError{Err: fmt.Errorf("the transfer broke off: %w", err)}
	}
	if have+n < size {
		return &registry.TemporaryError{Err: fmt.Errorf("the transfer broke off after %d of %d bytes", have+n, size)}
	}
	return nil
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
	fault.Point("image: a piece of a blob")
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
