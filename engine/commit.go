package engine

import (
	"context"
	"io"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"compose/engine/image"
	"compose/engine/image/unpack"
)

// CommitOptions say how a container becomes an image.
type CommitOptions struct {
	Ref     string // "": the image has no name
	Author  string
	Message string
	Changes []string // Dockerfile instructions for the configuration
	NoPause bool     // let the container run on meanwhile
}

// Commit makes an image of a container: its image's layers, what it has
// written, and its configuration.
func (e *Engine) Commit(ctx context.Context, id string, opts CommitOptions) (_ *image.Image, err error) {
	c, err := e.read(id)
	if err != nil {
		return nil, err
	}
	base, err := e.images.Get(ctx, c.ImageID)
	if err != nil {
		return nil, err
	}
	if state, err := e.State(id); err == nil && state.Status == Running && !opts.NoPause {
		if err := e.Pause(c); err != nil {
			return nil, err
		}
		defer func() {
			if resumed := e.Resume(c); err == nil {
				err = resumed
			}
		}()
	}
	r, w := io.Pipe()
	go func() {
		_, err := unpack.Archive(filepath.Join(e.dir(id), "upper"), w)
		w.CloseWithError(err)
	}()
	defer r.Close()
	made, err := e.images.Derive(ctx, base, r, image.DeriveOptions{
		Ref: opts.Ref, Author: opts.Author, Message: opts.Message, Changes: opts.Changes,
		Config: func(config *ocispec.ImageConfig) { c.configure(config) },
	})
	if err == nil {
		e.Happened(c, "commit", map[string]string{"comment": opts.Message, "imageID": made.ID, "imageRef": opts.Ref})
	}
	return made, err
}

// configure puts what the container was told into an image's configuration.
func (c *Container) configure(config *ocispec.ImageConfig) {
	s := &c.Spec
	config.Entrypoint, config.Cmd = s.Entrypoint, s.Command
	config.Env, config.User, config.WorkingDir = s.Env, s.User, s.WorkingDir
	config.StopSignal, config.Labels = s.StopSignal, s.Labels
	for _, e := range s.Expose {
		if config.ExposedPorts == nil {
			config.ExposedPorts = map[string]struct{}{}
		}
		config.ExposedPorts[e] = struct{}{}
	}
}
