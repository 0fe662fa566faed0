package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// archiveEntry is an image in manifest.json, the index of Docker's archives.
type archiveEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// Annotations of an OCI layout's index by which images have names.
const (
	annotationName = "io.containerd.image.name"
	annotationRef  = ocispec.AnnotationRefName
)

// Save writes images as one tar archive that is both Docker's (manifest.json)
// and an OCI layout. An image given by name is saved under that name, one by
// ID without any.
func (s *Store) Save(ctx context.Context, refs []string, w io.Writer) error {
	release, err := s.Use()
	if err != nil {
		return err
	}
	defer release()
	a := &archiveWriter{s: s, tw: tar.NewWriter(w), have: map[digest.Digest]bool{}}
	if err := a.dirs("blobs/", "blobs/sha256/"); err != nil {
		return err
	}
	var entries []*archiveEntry
	byID := map[string]*archiveEntry{}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, ref := range refs {
		img, err := s.Get(ctx, ref)
		if err != nil {
			return err
		}
		entry := byID[img.ID]
		manifest, e, err := a.image(ctx, img)
		if err != nil {
			return fmt.Errorf("save %s: %w", ref, err)
		}
		if entry == nil {
			entry = e
			byID[img.ID] = entry
			entries = append(entries, entry)
		}
		names := savedNames(img, ref)
		for _, name := range names {
			if !slices.Contains(entry.RepoTags, name) {
				entry.RepoTags = append(entry.RepoTags, name)
			}
			d := manifest
			parsed, err := ParseReference(name)
			if err != nil {
				return err
			}
			d.Annotations = map[string]string{annotationName: parsed.String(), annotationRef: parsed.Tag()}
			index.Manifests = append(index.Manifests, d)
		}
		if len(names) == 0 {
			index.Manifests = append(index.Manifests, manifest)
		}
	}
	for _, f := range []struct {
		name  string
		value any
	}{
		{"index.json", index},
		{"manifest.json", entries},
		{"oci-layout", ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}},
	} {
		data, err := json.Marshal(f.value)
		if err != nil {
			return err
		}
		if err := a.file(f.name, int64(len(data)), strings.NewReader(string(data))); err != nil {
			return err
		}
	}
	return a.tw.Close()
}

// savedNames are the names that an image is saved under: the one it was given
// by or, for a repository without a tag, all of it.
func savedNames(img *Image, ref string) []string {
	if parsed, err := ParseReference(ref); err == nil && slices.Contains(img.RepoTags, parsed.Familiar()) {
		return []string{parsed.Familiar()}
	}
	return nil
}

type archiveWriter struct {
	s    *Store
	tw   *tar.Writer
	have map[digest.Digest]bool
}

func (a *archiveWriter) dirs(names ...string) error {
	for _, n := range names {
		if err := a.tw.WriteHeader(&tar.Header{Name: n, Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(0, 0)}); err != nil {
			return err
		}
	}
	return nil
}

func (a *archiveWriter) file(name string, size int64, r io.Reader) error {
	if err := a.tw.WriteHeader(&tar.Header{Name: name, Mode: 0o444, Size: size, ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err := io.Copy(a.tw, r)
	return err
}

func blobName(d digest.Digest) string { return "blobs/" + string(d.Algorithm()) + "/" + d.Encoded() }

func (a *archiveWriter) blob(d digest.Digest, data []byte) error {
	if a.have[d] {
		return nil
	}
	a.have[d] = true
	return a.file(blobName(d), int64(len(data)), strings.NewReader(string(data)))
}

// image writes what an image consists of: layers as uncompressed archives, as
// `docker save` has them.
func (a *archiveWriter) image(ctx context.Context, img *Image) (ocispec.Descriptor, *archiveEntry, error) {
	raw, err := a.s.RawConfig(img)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	config := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	entry := &archiveEntry{Config: blobName(config.Digest), RepoTags: []string{}, Layers: []string{}}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{}}
	for _, l := range img.Layers {
		size, err := a.layer(ctx, l)
		if err != nil {
			return config, nil, err
		}
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: l.DiffID, Size: size})
		entry.Layers = append(entry.Layers, blobName(l.DiffID))
	}
	if err := a.blob(config.Digest, raw); err != nil {
		return config, nil, err
	}
	data, err := json.Marshal(m)
	if err != nil {
		return config, nil, err
	}
	d := ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(data), Size: int64(len(data)), Platform: &img.Config.Platform}
	return d, entry, a.blob(d.Digest, data)
}

// layer writes a layer's archive by way of a file without a name: its size
// has to be said before.
func (a *archiveWriter) layer(ctx context.Context, l Layer) (size int64, err error) {
	fd, err := unix.Open(a.s.images, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return 0, fmt.Errorf("make a file in %s: %w", a.s.images, err)
	}
	f := os.NewFile(uintptr(fd), "layer")
	defer f.Close()
	if err := a.s.writeTar(ctx, l, f); err != nil {
		return 0, err
	}
	if size, err = f.Seek(0, io.SeekEnd); err != nil {
		return 0, err
	}
	if a.have[l.DiffID] {
		return size, nil
	}
	a.have[l.DiffID] = true
	return size, a.file(blobName(l.DiffID), size, io.NewSectionReader(f, 0, size))
}
