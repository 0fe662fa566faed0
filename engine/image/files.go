package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"compose/engine/image/registry"
)

// File is one of a few small files that are kept in a registry together.
type File struct {
	MediaType   string
	Annotations map[string]string
	Data        []byte
}

// FileSet is an artifact of small files that is no image.
type FileSet struct {
	Type string // what the artifact is
	// ConfigType is the type of its empty configuration, by which a registry or
	// reader that knows nothing of artifact types is told.
	ConfigType  string
	Annotations map[string]string // of its descriptor
	Files       []File
}

const (
	// maxFiles and maxFile bound what is read of a set that a registry has.
	maxFiles = 256
	maxFile  = 4 << 20
)

// PushFiles stores files under a tag, as an artifact of the OCI's version 1.1,
// or 1.0; without a version as 1.1 and, if the registry refuses that, as 1.0.
func (s *Store) PushFiles(ctx context.Context, ref string, set FileSet, version string) (ocispec.Descriptor, error) {
	place, err := s.RegistryPlace(ctx, ref, true)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	layers := make([]ocispec.Descriptor, len(set.Files))
	for i, f := range set.Files {
		if layers[i], err = place.putData(ctx, f.MediaType, f.Data); err != nil {
			return ocispec.Descriptor{}, err
		}
		layers[i].Annotations = f.Annotations
	}
	put := func(version string) (ocispec.Descriptor, error) {
		m := ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Layers: layers,
			Annotations: map[string]string{ocispec.AnnotationCreated: time.Now().UTC().Format(time.RFC3339)},
		}
		configType := set.ConfigType
		if version == "1.1" {
			m.ArtifactType, configType = set.Type, ocispec.MediaTypeEmptyJSON
		}
		var err error
		if m.Config, err = place.putData(ctx, configType, []byte("{}")); err != nil {
			return ocispec.Descriptor{}, err
		}
		raw, err := json.Marshal(m)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		return ocispec.Descriptor{
			MediaType: m.MediaType, ArtifactType: m.ArtifactType, Digest: digest.FromBytes(raw), Size: int64(len(raw)), Annotations: set.Annotations,
		}, place.putManifest(ctx, raw)
	}
	switch version {
	case "1.0", "1.1":
		return put(version)
	case "":
		d, err := put("1.1")
		var t *registry.Error
		if errors.As(err, &t) && t.StatusCode >= 400 && t.StatusCode < 500 && t.StatusCode != http.StatusUnauthorized && t.StatusCode != http.StatusForbidden {
			return put("1.0")
		}
		return d, err
	}
	return ocispec.Descriptor{}, fmt.Errorf("unsupported OCI version: %s; there are 1.0 and 1.1", version)
}

// PullFiles reads a set of files, and the digest of its manifest. Of an index
// it is the first set in it.
func (s *Store) PullFiles(ctx context.Context, ref, artifactType, configType string) (*FileSet, digest.Digest, error) {
	parsed, err := ParseReference(ref)
	if err != nil {
		return nil, "", err
	}
	config, err := registry.LoadConfig(s.state)
	if err != nil {
		return nil, "", err
	}
	client, err := registry.Dial(ctx, config, nil, parsed.Host(), parsed.Path(), registry.Pull)
	if err != nil {
		return nil, "", err
	}
	m, err := client.Manifest(ctx, parsed.target())
	if err != nil {
		return nil, "", err
	}
	if m.IsIndex() {
		if m, err = member(ctx, client, m, artifactType); err != nil {
			return nil, "", fmt.Errorf("%s: %w", ref, err)
		}
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(m.Raw, &manifest); err != nil {
		return nil, "", fmt.Errorf("%s: read the manifest: %w", ref, err)
	}
	if manifest.ArtifactType != artifactType && (manifest.ArtifactType != "" || manifest.Config.MediaType != configType) {
		return nil, "", fmt.Errorf("%s is not a set of files of the type %s", ref, artifactType)
	}
	if len(manifest.Layers) > maxFiles {
		return nil, "", fmt.Errorf("%s has more than %d files: it is refused", ref, maxFiles)
	}
	set := &FileSet{Type: artifactType}
	for _, l := range manifest.Layers {
		data, err := client.SmallBlob(ctx, l.Digest, maxFile)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", ref, err)
		}
		set.Files = append(set.Files, File{MediaType: l.MediaType, Annotations: l.Annotations, Data: data})
	}
	return set, m.Digest, nil
}

// member is the first manifest of a type in an index.
func member(ctx context.Context, client *registry.Client, m *registry.Manifest, artifactType string) (*registry.Manifest, error) {
	var index ocispec.Index
	if err := json.Unmarshal(m.Raw, &index); err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	for _, d := range index.Manifests {
		if d.ArtifactType == artifactType {
			return client.Manifest(ctx, d.Digest.String())
		}
	}
	return nil, fmt.Errorf("it lists nothing of the type %s", artifactType)
}

// PushIndex stores, beside a manifest, an index that names it as its subject and
// lists the images, which are copied into the same repository first. It has no
// tag.
func (s *Store) PushIndex(ctx context.Context, ref string, subject ocispec.Descriptor, images []string, annotations map[string]string) (digest.Digest, error) {
	parsed, err := ParseReference(ref)
	if err != nil {
		return "", err
	}
	config, err := registry.LoadConfig(s.state)
	if err != nil {
		return "", err
	}
	to, err := registry.Dial(ctx, config, nil, parsed.Host(), parsed.Path(), registry.Push)
	if err != nil {
		return "", err
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Subject: &subject, Annotations: annotations}
	for _, name := range images {
		from, err := ParseReference(name)
		if err != nil {
			return "", err
		}
		client, err := registry.Dial(ctx, config, nil, from.Host(), from.Path(), registry.Pull)
		if err != nil {
			return "", fmt.Errorf("image %s: %w", name, err)
		}
		c := &copying{from: client, to: to}
		if from.Host() == parsed.Host() {
			c.sibling = from.Path()
		}
		d, err := c.manifest(ctx, from.target(), 0)
		if err != nil {
			return "", fmt.Errorf("copy image %s to %s: %w", name, parsed.Repository(), err)
		}
		index.Manifests = append(index.Manifests, d)
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return "", err
	}
	d := digest.FromBytes(raw)
	return d, to.PutManifest(ctx, d.String(), index.MediaType, raw)
}

// copying brings manifests with their blobs from one repository to another.
type copying struct {
	from, to *registry.Client
	sibling  string // from's name, where the registry is the same
}

// manifest copies one by tag or digest, and of an index those that it lists.
func (c *copying) manifest(ctx context.Context, ref string, depth int) (ocispec.Descriptor, error) {
	m, err := c.from.Manifest(ctx, ref)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	var content struct {
		Config            ocispec.Descriptor
		Layers, Manifests []ocispec.Descriptor
	}
	if err := json.Unmarshal(m.Raw, &content); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("read the manifest: %w", err)
	}
	if m.IsIndex() {
		if depth > 0 {
			return ocispec.Descriptor{}, errors.New("an index in an index is refused")
		}
		for _, d := range content.Manifests {
			if _, err := c.manifest(ctx, d.Digest.String(), depth+1); err != nil {
				return ocispec.Descriptor{}, err
			}
		}
	} else {
		for _, d := range append(content.Layers, content.Config) {
			if err := c.blob(ctx, d); err != nil {
				return ocispec.Descriptor{}, err
			}
		}
	}
	return ocispec.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Raw))}, c.to.PutManifest(ctx, m.Digest.String(), m.MediaType, m.Raw)
}

func (c *copying) blob(ctx context.Context, d ocispec.Descriptor) error {
	if err := d.Digest.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", d.Digest, err)
	}
	if has, _, err := c.to.HasBlob(ctx, d.Digest); has || err != nil {
		return err
	}
	if c.sibling != "" {
		if mounted, err := c.to.Mount(ctx, d.Digest, c.sibling); mounted || err != nil {
			return err
		}
	}
	// The receiving registry checks the digest.
	return c.to.Upload(ctx, d.Digest, d.Size, func() (io.ReadCloser, error) {
		body, _, err := c.from.Blob(ctx, d.Digest, 0)
		return body, err
	})
}
