package image

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"compose/engine/image/unpack"
	"compose/internal/fault"
	"compose/internal/statefile"
	"compose/internal/zstd"
)

// ChainID is the identity of a layer on top of its parents, as the OCI image
// specification defines it. The parent of the bottom layer is "".
func ChainID(parent, diffID digest.Digest) digest.Digest {
	if parent == "" {
		return diffID
	}
	return digest.FromString(parent.String() + " " + diffID.String())
}

// layerName is the short directory name of a layer: 26 characters, so that
// the 125 layers an image may have fit into one page of mount options.
func layerName(chain digest.Digest) string {
	sum := sha256.Sum256([]byte(chain))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}

// LayerByChainID returns the directory of an unpacked layer.
func (s *Store) LayerByChainID(chain digest.Digest) (dir string, ok bool) {
	dir = filepath.Join(s.layers, layerName(chain), "fs")
	if _, err := os.Stat(dir); err != nil {
		return dir, false
	}
	return dir, s.survived(filepath.Dir(dir))
}

// layerInfo is layers/<short>/layer.json.
type layerInfo struct {
	Version int   `json:"version"`
	Layer   Layer `json:"layer"`
}

// newLayerDir makes a directory for a layer that is not known yet.
func (s *Store) newLayerDir() (string, error) {
	if err := os.MkdirAll(s.layers, 0o700); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(s.layers, ".new-")
	if err != nil {
		return "", err
	}
	fs := filepath.Join(tmp, "fs")
	if err := os.Mkdir(fs, 0o755); err != nil {
		return tmp, err
	}
	return tmp, os.Chmod(fs, 0o755) // whatever our umask
}

// adopt makes the directory that newLayerDir made the layer's, or throws it
// away where the layer exists. What it holds is on disk before it has the name.
func (s *Store) adopt(tmp string, l Layer) error {
	if _, ok := s.LayerByChainID(l.ChainID); ok {
		return os.RemoveAll(tmp)
	}
	if err := statefile.WriteJSON(filepath.Join(tmp, "layer.json"), layerInfo{1, l}); err != nil {
		return err
	}
	if err := syncFS(tmp); err != nil {
		return err
	}
	fault.Point("image: layer written")
	if err := s.giveName(tmp, l); err != nil {
		return err
	}
	return statefile.SyncDir(s.layers)
}

// syncFS makes a whole layer durable in one go: far cheaper than a file at a time.
func syncFS(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

// unpackLayer unpacks an uncompressed tar stream on top of parent and returns
// the layer. The stream is read to its end.
func (s *Store) unpackLayer(ctx context.Context, parent digest.Digest, tar io.Reader) (Layer, error) {
	tmp, err := s.newLayerDir()
	if err != nil {
		return Layer{}, err
	}
	sum, size, err := unpackRecorded(ctx, tmp, tar)
	if err != nil {
		_ = os.RemoveAll(tmp)
		return Layer{}, err
	}
	l := Layer{DiffID: sum, ChainID: ChainID(parent, sum), Size: size}
	if err := s.adopt(tmp, l); err != nil {
		_ = os.RemoveAll(tmp)
		return Layer{}, fmt.Errorf("store the layer: %w", err)
	}
	return l, nil
}

// layerInfo reads what is known of a layer that is here.
func (s *Store) layerInfo(chain digest.Digest) (Layer, bool) {
	var info layerInfo
	err := statefile.ReadJSON(filepath.Join(s.layers, layerName(chain), "layer.json"), &info)
	return info.Layer, err == nil
}

// unpackKnown unpacks the blob of a layer whose identity is known before, and
// refuses content that does not have it.
func (s *Store) unpackKnown(ctx context.Context, l Layer, blob io.Reader) (Layer, error) {
	plain, err := decompress(blob)
	if err != nil {
		return Layer{}, err
	}
	defer plain.Close()
	tmp, err := s.newLayerDir()
	if err != nil {
		return Layer{}, err
	}
	to := unpackTo
	if l.Digest == "" { // no blob will tell what its stream was
		to = unpackRecorded
	}
	sum, size, err := to(ctx, tmp, plain)
	if err == nil && sum != l.DiffID {
		err = fmt.Errorf("layer %s: its content has the diff ID %s, the image says %s", l.Digest, sum, l.DiffID)
	}
	if err == nil {
		l.Size = size
		err = s.adopt(tmp, l)
	}
	if err != nil {
		_ = os.RemoveAll(tmp)
		return Layer{}, err
	}
	return l, nil
}

// unpackTo unpacks the stream to its end below the layer directory tmp and
// digests it.
func unpackTo(ctx context.Context, tmp string, tar io.Reader) (digest.Digest, int64, error) {
	hash := newHasher()
	stream := &contextReader{ctx, io.TeeReader(tar, hash)}
	return unpackStream(stream, tmp, hash)
}

// unpackRecorded is unpackTo for a layer without a blob: what the files do not
// say of its stream is kept beside them.
func unpackRecorded(ctx context.Context, tmp string, tar io.Reader) (digest.Digest, int64, error) {
	f, err := os.Create(filepath.Join(tmp, recordName))
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	z, err := zstd.NewWriter(f)
	if err != nil {
		return "", 0, err
	}
	hash := newHasher()
	recorder := unpack.NewRecorder(&contextReader{ctx, io.TeeReader(tar, hash)}, z)
	sum, size, err := unpackStream(recorder, tmp, hash)
	err = errors.Join(err, z.Close())
	if err == nil && recorder.Err() != nil {
		// Such a layer can be used, and not be pushed or saved.
		err = os.Remove(f.Name())
	}
	return sum, size, err
}

func unpackStream(stream io.Reader, tmp string, hash *hasher) (digest.Digest, int64, error) {
	size, err := unpack.Layer(stream, filepath.Join(tmp, "fs"))
	if err == nil {
		_, err = io.Copy(io.Discard, stream) // padding behind the archive's end counts too
	}
	sum := hash.sum()
	if err != nil {
		return "", 0, fmt.Errorf("unpack the layer: %w", err)
	}
	return sum, size, nil
}

// CommitLayer makes the upper directory of an overlay a layer on top of
// parent. The directory is moved, not copied, and is gone afterwards.
func (s *Store) CommitLayer(_ context.Context, parent digest.Digest, upper string) (Layer, error) {
	tmp, l, err := s.takeOver(parent, upper)
	if err != nil {
		return Layer{}, err
	}
	return l, s.adopt(tmp, l)
}

// takeOver moves an overlay's upper directory to a new layer directory and
// digests it.
func (s *Store) takeOver(parent digest.Digest, upper string) (tmp string, l Layer, err error) {
	if tmp, err = s.newLayerDir(); err != nil {
		return "", l, err
	}
	fs := filepath.Join(tmp, "fs")
	if err := os.Remove(fs); err != nil {
		return "", l, err
	}
	if err := os.Rename(upper, fs); err != nil {
		_ = os.RemoveAll(tmp)
		return "", l, fmt.Errorf("take over the layer: %w", err)
	}
	hash := newHasher()
	size, err := unpack.Archive(fs, hash)
	sum := hash.sum()
	if err != nil {
		_ = os.RemoveAll(tmp)
		return "", l, fmt.Errorf("digest the layer: %w", err)
	}
	return tmp, Layer{DiffID: sum, ChainID: ChainID(parent, sum), Size: size}, nil
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// hasher digests on a goroutine of its own, beside the writing of files.
type hasher struct {
	chunks chan []byte
	done   chan digest.Digest
	free   chan []byte
}

func newHasher() *hasher {
	h := &hasher{chunks: make(chan []byte, 8), done: make(chan digest.Digest, 1), free: make(chan []byte, 8)}
	go func() {
		sum := sha256.New()
		for c := range h.chunks {
			sum.Write(c)
			select {
			case h.free <- c[:0]:
			default:
			}
		}
		h.done <- digest.NewDigest(digest.SHA256, sum)
	}()
	return h
}

func (h *hasher) Write(p []byte) (int, error) {
	var buf []byte
	select {
	case buf = <-h.free:
	default:
	}
	h.chunks <- append(buf, p...)
	return len(p), nil
}

// sum ends the hasher.
func (h *hasher) sum() digest.Digest {
	close(h.chunks)
	return <-h.done
}
