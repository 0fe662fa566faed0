package image

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"compose/engine/image/changes"
	"compose/internal/lateinit"
	"compose/internal/zstd"
)

// ImportOptions say what becomes of an imported root file system.
type ImportOptions struct {
	Changes  []string // Dockerfile lines for the configuration, as docker import --change
	Message  string   // the comment in its history
	Platform string   // "os/arch"; empty: this host's
}

// Import makes an image of one layer out of a root file system's tar stream,
// plain or compressed with gzip or zstd, under the name ref ("": none).
func (s *Store) Import(ctx context.Context, r io.Reader, ref string, opts ImportOptions) (*Image, error) {
	release, err := s.Use()
	if err != nil {
		return nil, err
	}
	defer release()
	var tags []string
	if ref != "" {
		if _, err := ParseReference(ref); err != nil {
			return nil, err
		}
		tags = []string{ref}
	}
	now := time.Now().UTC()
	config := ocispec.Image{Created: &now, Platform: hostPlatform()}
	if opts.Platform != "" {
		p, err := parsePlatform(opts.Platform)
		if err != nil {
			return nil, err
		}
		config.Platform = p
	}
	if err := changes.Apply(&config, opts.Changes); err != nil {
		return nil, err
	}
	plain, err := decompress(r)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	l, err := s.unpackLayer(ctx, "", plain)
	if err != nil {
		return nil, importError(err)
	}
	message := opts.Message
	if message == "" {
		message = "Imported from -"
	}
	config.History = []ocispec.History{{Created: &now, Comment: message}}
	return s.CreateImage(ctx, config, []Layer{l}, tags)
}

func importError(err error) error {
	if full := fullDisk(err); full != nil {
		return full
	}
	return err
}

func hostPlatform() ocispec.Platform {
	return ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
}

// A stream that expands beyond both is refused. What compressors are made for
// does not come near: that many bytes in a few are zeros, or an attack.
var (
	bombFloor = int64(8 << 30) // bytes
	bombRatio = int64(200)     // of what came in
)

// counted counts what is read of the compressed stream.
type counted struct {
	r io.Reader
	n atomic.Int64 // zstd reads ahead on a goroutine of its own
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// expanding is a decompressed stream up to the point where it is a bomb.
type expanding struct {
	io.ReadCloser
	in  *counted
	out int64
}

func (e *expanding) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if e.out += int64(n); e.out > bombFloor && e.out > bombRatio*e.in.n.Load() {
		return 0, fmt.Errorf("%d compressed bytes have become more than %d: such an archive is refused", e.in.n.Load(), e.out)
	}
	return n, err
}

// decompress looks at the stream's first bytes.
func decompress(r io.Reader) (io.ReadCloser, error) {
	in := &counted{r: r}
	buffered := bufio.NewReaderSize(in, 1<<20)
	head, err := buffered.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		lateinit.Open(lateinit.Compression)
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("read the gzip stream: %w", err)
		}
		return &expanding{ReadCloser: z, in: in}, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(buffered, 2, 256<<20)
		if err != nil {
			return nil, fmt.Errorf("read the zstd stream: %w", err)
		}
		return &expanding{ReadCloser: z, in: in}, nil
	case bytes.HasPrefix(head, []byte("BZh")), bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z'}):
		return nil, errors.New("the archive is compressed with bzip2 or xz: decompress it first (for example xz -dc FILE | compose image import - NAME)")
	}
	return io.NopCloser(buffered), nil
}
