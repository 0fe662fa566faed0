package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"compose/internal/statefile"
)

// Limits on an archive of images.
const (
	maxArchiveFiles = 100_000
	maxArchiveIndex = 32 << 20 // bytes of manifest.json and the like
)

// LoadOptions say what Load takes out of an archive.
type LoadOptions struct {
	Platform string // "os/arch": the image of an index to take; "": this host's
}

// Load stores the images of a tar archive: Docker's or an OCI layout,
// compressed or not. It returns them, those of one archive in its order.
func (s *Store) Load(ctx context.Context, r io.Reader, opts LoadOptions) ([]*Image, error) {
	release, err := s.Use()
	if err != nil {
		return nil, err
	}
	defer release()
	want := hostPlatform()
	if opts.Platform != "" {
		var err error
		if want, err = parsePlatform(opts.Platform); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(s.images, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.images, "load-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	l := &loader{s: s, ctx: ctx, root: root, want: want, exact: opts.Platform != ""}
	plain, err := decompress(r)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	if err := l.spread(plain); err != nil {
		return nil, importError(err)
	}
	images, err := l.images()
	if err != nil {
		return nil, importError(err)
	}
	return images, nil
}

// loader has an archive's files spread below a directory that nothing in the
// archive can lead out of.
type loader struct {
	s     *Store
	ctx   context.Context
	root  *os.Root
	want  ocispec.Platform
	exact bool
}

func (l *loader) spread(r io.Reader) error {
	tr := tar.NewReader(&contextReader{l.ctx, r})
	for n := 0; ; n++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the archive: %w", err)
		}
		if n > maxArchiveFiles {
			return fmt.Errorf("the archive has more than %d files: it is refused", maxArchiveFiles)
		}
		name := path.Clean("/" + h.Name)[1:]
		if name == "" {
			continue
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = l.root.MkdirAll(name, 0o700)
		case tar.TypeReg:
			err = l.spreadFile(name, tr)
		case tar.TypeSymlink, tar.TypeLink: // layers that several images have
			target := h.Linkname
			if h.Typeflag == tar.TypeLink {
				target = "/" + target
			}
			if !path.IsAbs(target) {
				target = path.Join("/", path.Dir(name), target)
			}
			relative, relErr := filepath.Rel("/"+path.Dir(name), path.Clean(target))
			if err = relErr; err == nil {
				_ = l.root.MkdirAll(path.Dir(name), 0o700)
				err = l.root.Symlink(relative, name)
			}
		}
		if err != nil {
			return fmt.Errorf("the archive's file %q: %w", h.Name, err)
		}
	}
}

func (l *loader) spreadFile(name string, r io.Reader) error {
	if err := l.root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := l.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// read reads a small file.
func (l *loader) read(name string) ([]byte, error) {
	f, err := l.root.Open(path.Clean("/" + name)[1:])
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxArchiveIndex+1))
	if err == nil && len(data) > maxArchiveIndex {
		err = fmt.Errorf("the archive's file %s has more than %d bytes: it is refused", name, maxArchiveIndex)
	}
	return data, err
}

func (l *loader) images() ([]*Image, error) {
	data, err := l.read("manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		return l.layout()
	}
	if err != nil {
		return nil, err
	}
	var entries []archiveEntry
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, fmt.Errorf("read the archive's manifest.json: %w", err)
	}
	var out []*Image
	for _, e := range entries {
		raw, err := l.read(e.Config)
		if err != nil {
			return nil, fmt.Errorf("read the configuration %s of the archive: %w", e.Config, err)
		}
		var layers []ocispec.Descriptor
		for range e.Layers {
			layers = append(layers, ocispec.Descriptor{})
		}
		img, err := l.store(raw, layers, e.Layers, e.RepoTags, "")
		if err != nil {
			return nil, err
		}
		out = append(out, img)
	}
	return out, nil
}

// layout reads an OCI layout.
func (l *loader) layout() ([]*Image, error) {
	data, err := l.read("index.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("the archive is neither Docker's (it has no manifest.json) nor an OCI layout (it has no index.json)")
	}
	if err != nil {
		return nil, err
	}
	var ix ocispec.Index
	if err := json.Unmarshal(data, &ix); err != nil {
		return nil, fmt.Errorf("read the archive's index.json: %w", err)
	}
	byManifest := map[digest.Digest]*Image{}
	var out []*Image
	for _, d := range ix.Manifests {
		var tags []string
		if name := d.Annotations[annotationName]; name != "" {
			tags = []string{name}
		} else if ref := d.Annotations[annotationRef]; ref != "" {
			if _, err := ParseReference(ref); err == nil {
				tags = []string{ref}
			}
		}
		img, err := l.manifest(d.Digest, tags, 0)
		if err != nil {
			return nil, err
		}
		if first := byManifest[d.Digest]; first != nil {
			first.LoadedTags = append(first.LoadedTags, img.LoadedTags...)
			continue
		}
		byManifest[d.Digest] = img
		out = append(out, img)
	}
	return out, nil
}

// manifest stores the image of a manifest, or of the one of an index that is
// for the platform that is wanted.
func (l *loader) manifest(d digest.Digest, tags []string, depth int) (*Image, error) {
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("read the archive's index: digest %q: %w", d, err)
	}
	raw, err := l.read(blobName(d))
	if err != nil {
		return nil, fmt.Errorf("read the manifest %s of the archive: %w", d, err)
	}
	if got := d.Algorithm().FromBytes(raw); got != d {
		return nil, fmt.Errorf("the archive's manifest %s has the digest %s: it is damaged", d, got)
	}
	var kind struct {
		Manifests json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &kind); err == nil && kind.Manifests != nil && depth < 3 {
		chosen, err := choose(raw, l.want, l.exact)
		if err != nil {
			return nil, err
		}
		return l.manifest(chosen, tags, depth+1)
	}
	m, err := parseManifest(raw)
	if err != nil {
		return nil, err
	}
	config, err := l.read(blobName(m.Config.Digest))
	if err != nil {
		return nil, fmt.Errorf("read the configuration %s of the archive: %w", m.Config.Digest, err)
	}
	if got := m.Config.Digest.Algorithm().FromBytes(config); got != m.Config.Digest {
		return nil, fmt.Errorf("the archive's configuration %s has the digest %s: it is damaged", m.Config.Digest, got)
	}
	var files []string
	for _, layer := range m.Layers {
		files = append(files, blobName(layer.Digest))
	}
	if err := l.s.writeBlob(d, raw); err != nil {
		return nil, err
	}
	return l.store(config, m.Layers, files, tags, d.String())
}

// store unpacks an image's layers and gives it its names. Layers of an OCI
// layout have descriptors with digests, and their blobs are kept.
func (l *loader) store(raw []byte, descriptors []ocispec.Descriptor, files, tags []string, manifest string) (*Image, error) {
	config, err := parseConfig(raw, len(files))
	if err != nil {
		return nil, err
	}
	layers := make([]Layer, len(files))
	chain := digest.Digest("")
	for i, diff := range config.RootFS.DiffIDs {
		parent := chain
		chain = ChainID(parent, diff)
		want := Layer{Digest: descriptors[i].Digest, MediaType: descriptors[i].MediaType, DiffID: diff, ChainID: chain}
		if layers[i], err = l.layer(want, files[i]); err != nil {
			return nil, err
		}
	}
	for _, t := range tags {
		if _, err := ParseReference(t); err != nil {
			return nil, err
		}
	}
	img, err := l.s.put(l.ctx, raw, config, layers, tags, manifest, nil)
	if err != nil {
		return nil, err
	}
	for _, t := range tags {
		img.LoadedTags = append(img.LoadedTags, familiar(t))
	}
	return img, nil
}

func (l *loader) layer(want Layer, file string) (Layer, error) {
	f, err := l.root.Open(path.Clean("/" + file)[1:])
	if err != nil {
		return want, fmt.Errorf("the archive lacks the layer %s", file)
	}
	defer f.Close()
	if want.Digest != "" {
		if err := l.keepBlob(want.Digest, f); err != nil {
			return want, err
		}
	}
	if known, ok := l.s.layerInfo(want.ChainID); ok {
		if _, here := l.s.LayerByChainID(want.ChainID); here {
			want.Size = known.Size
			return want, nil
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return want, err
	}
	return l.s.unpackKnown(l.ctx, want, f)
}

// keepBlob stores a layer's compressed blob as it came.
func (l *loader) keepBlob(d digest.Digest, f io.Reader) error {
	final := l.s.blobPath(d)
	if _, err := os.Stat(final); err == nil {
		return nil
	}
	if err := statefile.MkdirAll(filepath.Dir(final), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(final), ".load-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	verifier := d.Verifier()
	if _, err := io.Copy(io.MultiWriter(tmp, verifier), f); err != nil {
		return err
	}
	if !verifier.Verified() {
		return fmt.Errorf("the archive's layer %s does not match its digest: it is damaged", d)
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), final); err != nil {
		return err
	}
	return statefile.SyncDir(filepath.Dir(final))
}
