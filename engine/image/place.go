package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"compose/engine/image/registry"
	"compose/internal/statefile"
)

// Place is where something with layers that is not an image is kept: a tag of
// a registry or an OCI image layout. Nothing of what it holds is trusted.
type Place interface {
	// manifest is the bytes that the place's name stands for; the error
	// matches fs.ErrNotExist where it stands for nothing.
	manifest(ctx context.Context) ([]byte, error)
	open(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error)
	putLayer(ctx context.Context, s *Store, l Layer) (ocispec.Descriptor, error)
	putData(ctx context.Context, mediaType string, data []byte) (ocispec.Descriptor, error)
	putManifest(ctx context.Context, raw []byte) error
}

// RegistryPlace is a tag of a registry; write says what it is for.
func (s *Store) RegistryPlace(ctx context.Context, ref string, write bool) (Place, error) {
	parsed, err := ParseReference(ref)
	if err != nil {
		return nil, err
	}
	config, err := registry.LoadConfig(s.state)
	if err != nil {
		return nil, err
	}
	action := registry.Pull
	if write {
		action = registry.Push
	}
	client, err := registry.Dial(ctx, config, nil, parsed.Host(), parsed.Path(), action)
	if err != nil {
		return nil, err
	}
	return &registryPlace{ref: parsed, client: client}, nil
}

type registryPlace struct {
	ref    Reference
	client *registry.Client
}

func (p *registryPlace) manifest(ctx context.Context) ([]byte, error) {
	m, err := p.client.Manifest(ctx, p.ref.target())
	var t *registry.Error
	if errors.As(err, &t) && t.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%s: not found: %w", p.ref.Familiar(), fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	return m.Raw, nil
}

func (p *registryPlace) open(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	body, _, err := p.client.Blob(ctx, d.Digest, 0)
	return body, err
}

func (p *registryPlace) putLayer(ctx context.Context, s *Store, l Layer) (ocispec.Descriptor, error) {
	to := &push{store: s, ref: p.ref, img: &Image{Layers: []Layer{l}}, client: p.client, opts: PushOptions{Progress: func(Progress) {}}}
	return to.layer(ctx, l)
}

func (p *registryPlace) putData(ctx context.Context, mediaType string, data []byte) (ocispec.Descriptor, error) {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	has, _, err := p.client.HasBlob(ctx, d.Digest)
	if err != nil || has {
		return d, err
	}
	return d, p.client.Upload(ctx, d.Digest, d.Size, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
}

func (p *registryPlace) putManifest(ctx context.Context, raw []byte) error {
	tag := p.ref.Tag()
	if tag == "" {
		return fmt.Errorf("%s names a digest: name a tag", p.ref.Familiar())
	}
	return p.client.PutManifest(ctx, tag, ocispec.MediaTypeImageManifest, raw)
}

// LayoutPlace is the manifest with a tag in the OCI image layout at a directory.
func LayoutPlace(dir, tag string) Place { return &layoutPlace{dir, tag} }

type layoutPlace struct{ dir, tag string }

func (p *layoutPlace) path(d digest.Digest) string {
	return filepath.Join(p.dir, "blobs", string(d.Algorithm()), d.Encoded())
}

func (p *layoutPlace) index() (ix ocispec.Index, err error) {
	data, err := os.ReadFile(filepath.Join(p.dir, ocispec.ImageIndexFile))
	if err != nil {
		return ix, err
	}
	if err := json.Unmarshal(data, &ix); err != nil {
		return ix, fmt.Errorf("%s: %w", filepath.Join(p.dir, ocispec.ImageIndexFile), err)
	}
	return ix, nil
}

func (p *layoutPlace) manifest(ctx context.Context) ([]byte, error) {
	ix, err := p.index()
	if err != nil {
		return nil, err
	}
	for _, m := range ix.Manifests {
		if m.Annotations[ocispec.AnnotationRefName] == p.tag {
			return readData(ctx, p, m)
		}
	}
	return nil, fmt.Errorf("%s has no manifest %s: %w", p.dir, p.tag, fs.ErrNotExist)
}

func (p *layoutPlace) open(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, err
	}
	return os.Open(p.path(d.Digest))
}

func (p *layoutPlace) putLayer(ctx context.Context, s *Store, l Layer) (ocispec.Descriptor, error) {
	d := ocispec.Descriptor{MediaType: layerType(l), Digest: l.Digest}
	path, size, here := s.blobPathOf(l)
	if here {
		d.Size = size
		f, err := os.Open(path)
		if err != nil {
			return d, err
		}
		defer f.Close()
		return d, p.write(d, f)
	}
	f, sum, n, err := s.compressLayer(ctx, l)
	if err != nil {
		return d, err
	}
	defer f.Close()
	d = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: sum, Size: n}
	return d, p.write(d, io.NewSectionReader(f, 0, n))
}

func (p *layoutPlace) putData(_ context.Context, mediaType string, data []byte) (ocispec.Descriptor, error) {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	return d, p.write(d, bytes.NewReader(data))
}

// write stores a blob, whole or not at all.
func (p *layoutPlace) write(d ocispec.Descriptor, r io.Reader) error {
	path := p.path(d.Digest)
	if info, err := os.Stat(path); err == nil && info.Size() == d.Size {
		return nil
	}
	if err := statefile.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = io.Copy(tmp, r)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return statefile.SyncDir(filepath.Dir(path))
}

func (p *layoutPlace) putManifest(ctx context.Context, raw []byte) error {
	d, err := p.putData(ctx, ocispec.MediaTypeImageManifest, raw)
	if err != nil {
		return err
	}
	d.Annotations = map[string]string{ocispec.AnnotationRefName: p.tag}
	old, err := p.index()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ix := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{d}}
	for _, m := range old.Manifests {
		if m.Annotations[ocispec.AnnotationRefName] != p.tag {
			ix.Manifests = append(ix.Manifests, m)
		}
	}
	layout := filepath.Join(p.dir, ocispec.ImageLayoutFile)
	if err := statefile.WriteJSON(layout, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}); err != nil {
		return err
	}
	return statefile.WriteJSON(filepath.Join(p.dir, ocispec.ImageIndexFile), ix)
}

// readData reads a small blob and refuses one with another digest.
func readData(ctx context.Context, p Place, d ocispec.Descriptor) ([]byte, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, err
	}
	r, err := p.open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxConfig {
		return nil, fmt.Errorf("%s is larger than %d bytes", d.Digest, maxConfig)
	}
	if digest.FromBytes(data) != d.Digest {
		return nil, fmt.Errorf("the content of %s has another digest", d.Digest)
	}
	return data, nil
}

// Artifact is what a Place holds: a configuration and the blobs of layers.
type Artifact struct {
	place  Place
	Type   string // media type of the configuration
	Config []byte
	Blobs  map[digest.Digest]ocispec.Descriptor
}

// ReadArtifact reads what a place holds, without the layers. The error matches
// fs.ErrNotExist where there is nothing.
func ReadArtifact(ctx context.Context, p Place) (*Artifact, error) {
	raw, err := p.manifest(ctx)
	if err != nil {
		return nil, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("its manifest: %w", err)
	}
	a := &Artifact{place: p, Type: m.Config.MediaType, Blobs: map[digest.Digest]ocispec.Descriptor{}}
	if m.Config.Digest == "" { // an index of manifests
		a.Type = m.MediaType
		return a, nil
	}
	if a.Config, err = readData(ctx, p, m.Config); err != nil {
		return nil, fmt.Errorf("its configuration: %w", err)
	}
	for _, l := range m.Layers {
		if err := l.Digest.Validate(); err != nil {
			return nil, fmt.Errorf("its layer %q: %w", l.Digest, err)
		}
		a.Blobs[l.Digest] = l
	}
	return a, nil
}

// FetchLayer unpacks one of the artifact's blobs as a layer whose diff ID and
// chain ID are known.
func (s *Store) FetchLayer(ctx context.Context, a *Artifact, blob digest.Digest, l Layer) error {
	if _, here := s.LayerByChainID(l.ChainID); here {
		return nil
	}
	d, ok := a.Blobs[blob]
	if !ok {
		return fmt.Errorf("blob %s: %w", blob, fs.ErrNotExist)
	}
	l.Digest, l.MediaType = "", ""
	return registry.Retry(ctx, func() error {
		r, err := a.place.open(ctx, d)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = s.unpackKnown(ctx, l, r)
		return err
	})
}

// WriteArtifact puts layers and a configuration in a place. config gets the
// blobs that the layers have there, in their order.
func (s *Store) WriteArtifact(ctx context.Context, p Place, configType string, layers []Layer, config func([]ocispec.Descriptor) ([]byte, error)) (digest.Digest, error) {
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Layers: []ocispec.Descriptor{}}
	var blobs []ocispec.Descriptor
	seen := map[digest.Digest]bool{}
	for _, l := range layers {
		d, err := p.putLayer(ctx, s, l)
		if err != nil {
			return "", err
		}
		if d.MediaType == registry.DockerLayer {
			d.MediaType = ocispec.MediaTypeImageLayerGzip
		}
		blobs = append(blobs, d)
		if !seen[d.Digest] {
			seen[d.Digest] = true
			m.Layers = append(m.Layers, d)
		}
	}
	data, err := config(blobs)
	if err != nil {
		return "", err
	}
	if m.Config, err = p.putData(ctx, configType, data); err != nil {
		return "", err
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	return digest.FromBytes(raw), p.putManifest(ctx, raw)
}
