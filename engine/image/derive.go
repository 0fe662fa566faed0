package image

import (
	"context"
	"io"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"compose/engine/image/changes"
)

// DeriveOptions say what an image that is made of another one is like.
type DeriveOptions struct {
	Ref     string // "": it has no name
	Author  string
	Message string
	Changes []string // Dockerfile instructions for the configuration
	// Config edits the base image's configuration before that.
	Config func(*ocispec.ImageConfig)
}

// Derive makes an image of another one and one more layer, an uncompressed
// tar stream in the OCI's form.
func (s *Store) Derive(ctx context.Context, base *Image, layer io.Reader, opts DeriveOptions) (*Image, error) {
	release, err := s.Use()
	if err != nil {
		return nil, err
	}
	defer release()
	var tags []string
	if opts.Ref != "" {
		if _, err := ParseReference(opts.Ref); err != nil {
			return nil, err
		}
		tags = []string{opts.Ref}
	}
	config := base.Config
	now := time.Now().UTC()
	config.Created, config.Author = &now, opts.Author
	if opts.Config != nil {
		opts.Config(&config.Config)
	}
	if err := changes.Apply(&config, opts.Changes); err != nil {
		return nil, err
	}
	layers := slices.Clone(base.Layers)
	parent := layers[len(layers)-1].ChainID
	l, err := s.unpackLayer(ctx, parent, layer)
	if err != nil {
		return nil, importError(err)
	}
	config.RootFS.DiffIDs = append(slices.Clone(config.RootFS.DiffIDs), l.DiffID)
	config.History = append(slices.Clone(config.History), ocispec.History{Created: &now, Author: opts.Author, Comment: opts.Message, CreatedBy: "container commit"})
	return s.CreateImage(ctx, config, append(layers, l), tags)
}
