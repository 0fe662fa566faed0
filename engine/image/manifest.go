package image

import (
	"encoding/json"
	"fmt"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"compose/internal/lateinit"
)

// parseManifest reads the manifest of one image and refuses one that asks for
// too much.
func parseManifest(raw []byte) (*ocispec.Manifest, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	if m.Config.Size < 0 || m.Config.Size > maxConfig || len(m.Layers) > maxLayers {
		return nil, fmt.Errorf("the image has %d layers and a configuration of %d bytes: more than %d and %d is refused",
			len(m.Layers), m.Config.Size, maxLayers, maxConfig)
	}
	for _, d := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		if err := d.Digest.Validate(); err != nil {
			return nil, fmt.Errorf("read the manifest: digest %q: %w", d.Digest, err)
		}
		if d.Size < 0 {
			return nil, fmt.Errorf("read the manifest: %s has the size %d", d.Digest, d.Size)
		}
	}
	return &m, nil
}

// parseConfig reads an image's configuration, which has to be of so many layers.
func parseConfig(raw []byte, layers int) (config ocispec.Image, err error) {
	if err := json.Unmarshal(raw, &config); err != nil {
		return config, fmt.Errorf("read the image's configuration: %w", err)
	}
	if len(config.RootFS.DiffIDs) != layers {
		return config, fmt.Errorf("the image names %d layers and %d contents of layers", layers, len(config.RootFS.DiffIDs))
	}
	for _, d := range config.RootFS.DiffIDs {
		if err := d.Validate(); err != nil {
			return config, fmt.Errorf("diff ID %q: %w", d, err)
		}
	}
	return config, nil
}

// choose picks the manifest of a platform out of an index: the best match, or
// the very platform where a user asked for it.
func choose(raw []byte, want ocispec.Platform, exact bool) (digest.Digest, error) {
	var ix ocispec.Index
	if err := json.Unmarshal(raw, &ix); err != nil {
		return "", fmt.Errorf("read the index: %w", err)
	}
	lateinit.Open(lateinit.Platforms)
	match := platforms.Only(want)
	if exact {
		match = platforms.OnlyStrict(want)
	}
	var best *ocispec.Descriptor
	for i := range ix.Manifests {
		m := &ix.Manifests[i]
		if m.Platform == nil || !match.Match(*m.Platform) || best != nil && !match.Less(*m.Platform, *best.Platform) {
			continue
		}
		best = m
	}
	if best == nil {
		return "", fmt.Errorf("no matching manifest for %s in the manifest list entries", platforms.Format(want))
	}
	return best.Digest, best.Digest.Validate()
}
