package image

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
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
	if err := applyChanges(&config, opts.Changes); err != nil {
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

// decompress looks at the stream's first bytes.
func decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 1<<20)
	head, err := buffered.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("read the gzip stream: %w", err)
		}
		return z, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(buffered, zstd.WithDecoderMaxMemory(256<<20), zstd.WithDecoderConcurrency(2))
		if err != nil {
			return nil, fmt.Errorf("read the zstd stream: %w", err)
		}
		return z.IOReadCloser(), nil
	case bytes.HasPrefix(head, []byte("BZh")), bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z'}):
		return nil, errors.New("the archive is compressed with bzip2 or xz: decompress it first (for example xz -dc FILE | compose image import - NAME)")
	}
	return io.NopCloser(buffered), nil
}
