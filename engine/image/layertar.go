package image

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"compose/engine/image/registry"
	"compose/engine/image/unpack"
	"compose/internal/statefile"
	"compose/internal/zstd"
)

// recordName is the file beside an unpacked layer that has of its tar stream
// what the files do not say. A layer made here has none: its stream is
// unpack.Archive's.
const recordName = "tar.zst"

// blobPathOf returns the compressed blob that a layer came as, if it is still
// here, and its size in bytes.
func (s *Store) blobPathOf(l Layer) (path string, size int64, ok bool) {
	if l.Digest == "" {
		return "", 0, false
	}
	path = s.blobPath(l.Digest)
	info, err := os.Stat(path)
	if err != nil {
		return "", 0, false
	}
	return path, info.Size(), true
}

// writeTar writes a layer's uncompressed tar stream: the same bytes that the
// layer's diff ID is the digest of, or an error.
func (s *Store) writeTar(ctx context.Context, l Layer, to io.Writer) error {
	sum := sha256.New()
	out := &contextWriter{ctx, io.MultiWriter(sum, to)}
	if err := s.copyTar(l, out); err != nil {
		return fmt.Errorf("layer %s: %w", shortID(l.DiffID.String()), err)
	}
	if got := digest.NewDigest(digest.SHA256, sum); got != l.DiffID {
		return fmt.Errorf("layer %s: its files on disk have changed: remove the image and pull or build it again", shortID(l.DiffID.String()))
	}
	return nil
}

func (s *Store) copyTar(l Layer, to io.Writer) error {
	known, _ := s.layerInfo(l.ChainID)
	for _, candidate := range []Layer{l, known} {
		path, _, ok := s.blobPathOf(candidate)
		if !ok {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		plain, err := decompress(f)
		if err != nil {
			return err
		}
		defer plain.Close()
		_, err = io.Copy(to, plain)
		return err
	}
	dir, ok := s.LayerByChainID(l.ChainID)
	if !ok {
		return errors.New("it is missing: remove the image and pull or build it again")
	}
	f, err := os.Open(filepath.Join(filepath.Dir(dir), recordName))
	if errors.Is(err, fs.ErrNotExist) {
		_, err = unpack.Archive(dir, to)
		return err
	}
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := zstd.NewReader(f, 1, 0)
	if err != nil {
		return err
	}
	defer z.Close()
	return unpack.Replay(dir, z, to)
}

type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c *contextWriter) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

// blobInfo is layers/<short>/blob.json: what a layer without a blob here was
// as a compressed blob when it was pushed.
type blobInfo struct {
	Version      int           `json:"version"`
	Digest       digest.Digest `json:"digest"`
	Size         int64         `json:"size"`
	Repositories []string      `json:"repositories"` // host/path that have it, the latest first
}

func (s *Store) blobInfoPath(chain digest.Digest) string {
	return filepath.Join(s.layers, layerName(chain), "blob.json")
}

func (s *Store) readBlobInfo(chain digest.Digest) (info blobInfo) {
	if statefile.ReadJSON(s.blobInfoPath(chain), &info) != nil || info.Version != 1 || info.Digest.Validate() != nil {
		return blobInfo{}
	}
	return info
}

// maxRepositories is how many places of a blob are worth remembering.
const maxRepositories = 16

// rememberBlob is of use to the next push and to nobody else: it may fail.
func (s *Store) rememberBlob(chain digest.Digest, d digest.Digest, size int64, repository string) {
	info := s.readBlobInfo(chain)
	list := []string{repository}
	if info.Digest == d {
		for _, r := range info.Repositories {
			if r != repository && len(list) < maxRepositories {
				list = append(list, r)
			}
		}
	}
	_ = statefile.WriteJSON(s.blobInfoPath(chain), blobInfo{1, d, size, list})
}

// compressLayer makes a layer's blob in a file without a name, which is gone
// with its descriptor.
func (s *Store) compressLayer(ctx context.Context, l Layer) (f *os.File, d digest.Digest, size int64, err error) {
	fd, err := unix.Open(s.images, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, "", 0, fmt.Errorf("make a file in %s: %w", s.images, err)
	}
	f = os.NewFile(uintptr(fd), "blob")
	sum := newHasher()
	z := newCompressor(io.MultiWriter(f, sum))
	err = errors.Join(s.writeTar(ctx, l, z), z.Close())
	d = sum.sum()
	if err == nil {
		size, err = f.Seek(0, io.SeekEnd)
	}
	if err != nil {
		f.Close()
		return nil, "", 0, err
	}
	return f, d, size, nil
}

// layerType is the media type of a layer's blob, in Docker's words where it
// has some.
func layerType(l Layer) string {
	if l.MediaType == "" {
		return registry.DockerLayer
	}
	return l.MediaType
}
