package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"compose/engine/image/registry"
	"compose/internal/lateinit"
)

// PullOptions say what Pull fetches and who hears of it.
type PullOptions struct {
	Platform string            // "os/arch[/variant]"; empty: this host's
	Progress func(Progress)    // may be called from several goroutines
	Keychain registry.Keychain // nil: Docker's own config file and credential helpers
}

// Limits on what a registry may send us as a description of an image.
const (
	maxConfig = 8 << 20
	maxLayers = 125
)

// parallelLayers is how many layers travel at once, as in Docker.
const parallelLayers = 3

// Pull fetches an image by name from its registry, or from a mirror of the
// default one, and stores it under that name. Layers that are here already are
// not fetched again, and one that was interrupted goes on where it stopped.
func (s *Store) Pull(ctx context.Context, ref string, opts PullOptions) (*Image, error) {
	release, err := s.Use()
	if err != nil {
		return nil, err
	}
	defer release()
	parsed, err := ParseReference(ref)
	if err != nil {
		return nil, err
	}
	p := &pull{store: s, ref: parsed, opts: opts, want: hostPlatform()}
	if opts.Platform != "" {
		if p.want, err = parsePlatform(opts.Platform); err != nil {
			return nil, err
		}
	}
	if p.opts.Progress == nil {
		p.opts.Progress = func(Progress) {}
	}
	if p.config, err = registry.LoadConfig(s.state); err != nil {
		return nil, err
	}
	for _, host := range p.config.Hosts(parsed.Host()) {
		var img *Image
		if img, err = p.run(ctx, host); err == nil {
			s.happened("pull", familiar(parsed.String()), strings.TrimSuffix(parsed.Familiar(), ":"+parsed.Tag()))
			return img, nil
		}
		if full := fullDisk(err); full != nil {
			p.discardPartial()
			return nil, full
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, p.explain(err)
}

// RemoteDigest asks a registry, or a mirror of the default one, which manifest
// or index a name stands for. state is the directory of this installation,
// for the registries' configuration.
func RemoteDigest(ctx context.Context, state, ref string) (digest.Digest, error) {
	parsed, err := ParseReference(ref)
	if err != nil {
		return "", err
	}
	p := &pull{ref: parsed}
	if p.config, err = registry.LoadConfig(state); err != nil {
		return "", err
	}
	for _, host := range p.config.Hosts(parsed.Host()) {
		var client *registry.Client
		if client, err = registry.Dial(ctx, p.config, nil, host, parsed.Path(), registry.Pull); err != nil {
			continue
		}
		var m *registry.Manifest
		if m, err = client.Manifest(ctx, parsed.target()); err == nil {
			return m.Digest, nil
		}
	}
	return "", p.explain(err)
}

// RemoteTags lists the tags that a registry has of a repository.
func (s *Store) RemoteTags(ctx context.Context, repository string) ([]string, error) {
	ref, err := ParseReference(repository)
	if err != nil {
		return nil, err
	}
	p := &pull{ref: ref}
	if p.config, err = registry.LoadConfig(s.state); err != nil {
		return nil, err
	}
	client, err := registry.Dial(ctx, p.config, nil, ref.Host(), ref.Path(), registry.Pull)
	if err != nil {
		return nil, p.explain(err)
	}
	tags, err := client.Tags(ctx)
	if err != nil {
		return nil, p.explain(err)
	}
	return tags, nil
}

// pull is one Pull under way.
type pull struct {
	store  *Store
	ref    Reference
	opts   PullOptions
	want   ocispec.Platform
	config *registry.Config
	client *registry.Client

	mu      sync.Mutex
	partial []string // files of unfinished downloads
}

func (p *pull) say(layer, status string, current, total int64) {
	p.opts.Progress(Progress{Ref: p.ref.Familiar(), Layer: layer, Status: status, Current: current, Total: total})
}

func (p *pull) run(ctx context.Context, host string) (_ *Image, err error) {
	if p.client, err = registry.Dial(ctx, p.config, p.opts.Keychain, host, p.ref.Path(), registry.Pull); err != nil {
		return nil, err
	}
	top, err := p.client.Manifest(ctx, p.ref.target())
	if err != nil {
		return nil, err
	}
	m := top
	if top.IsIndex() {
		chosen, err := choose(top.Raw, p.want, p.opts.Platform != "")
		if err != nil {
			return nil, err
		}
		if m, err = p.client.Manifest(ctx, chosen.String()); err != nil {
			return nil, err
		}
	}
	manifest, err := parseManifest(m.Raw)
	if err != nil {
		return nil, err
	}
	raw, err := p.client.SmallBlob(ctx, manifest.Config.Digest, maxConfig)
	if err != nil {
		return nil, err
	}
	config, err := parseConfig(raw, len(manifest.Layers))
	if err != nil {
		return nil, err
	}
	lateinit.Open(lateinit.Platforms)
	if p.opts.Platform != "" && !platforms.Only(p.want).Match(config.Platform) {
		return nil, fmt.Errorf("image with reference %s was found but its platform (%s) does not match the specified platform (%s)",
			p.ref.Familiar(), platforms.Format(config.Platform), platforms.Format(p.want))
	}
	layers, err := p.layers(ctx, manifest, config)
	if err != nil {
		return nil, err
	}
	if err := p.store.writeBlob(m.Digest, m.Raw); err != nil {
		return nil, err
	}
	digests := []string{p.ref.Repository() + "@" + top.Digest.String()}
	var tags []string
	if p.ref.Digest() == "" {
		tags = []string{p.ref.String()}
	}
	return p.store.put(ctx, raw, config, layers, tags, m.Digest.String(), digests)
}

// layers brings every layer here, several at a time.
func (p *pull) layers(ctx context.Context, m *ocispec.Manifest, config ocispec.Image) ([]Layer, error) {
	layers := make([]Layer, len(m.Layers))
	chain := digest.Digest("")
	for i, diff := range config.RootFS.DiffIDs {
		if err := diff.Validate(); err != nil {
			return nil, fmt.Errorf("diff ID %q: %w", diff, err)
		}
		parent := chain
		chain = ChainID(parent, diff)
		layers[i] = Layer{
			Digest: m.Layers[i].Digest, DiffID: diff, ChainID: chain, MediaType: m.Layers[i].MediaType,
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelLayers)
	for i := range layers {
		group.Go(func() error { return p.layer(ctx, &layers[i], m.Layers[i].Size) })
	}
	return layers, group.Wait()
}

func (p *pull) layer(ctx context.Context, l *Layer, size int64) error {
	short := l.Digest.Encoded()[:12]
	if _, here := p.store.LayerByChainID(l.ChainID); here {
		known, _ := p.store.layerInfo(l.ChainID)
		l.Size = known.Size
		p.say(short, "Already exists", 0, 0)
		return nil
	}
	p.say(short, "Pulling fs layer", 0, size)
	path, err := p.fetch(ctx, l.Digest, size)
	if err != nil {
		return err
	}
	p.say(short, "Extracting", 0, size)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	made, err := p.store.unpackKnown(ctx, *l, f)
	if err != nil {
		return err
	}
	l.Size = made.Size
	p.say(short, "Pull complete", size, size)
	return nil
}

// explain turns a registry's error into what a Docker user knows.
func (p *pull) explain(err error) error {
	var t *registry.Error
	if errors.As(err, &t) {
		repo := p.ref.Repository()
		for _, d := range t.Errors {
			switch d.Code {
			case registry.Unauthorized, registry.Denied, registry.NameUnknown:
				return fmt.Errorf("pull access denied for %s, repository does not exist or may require 'docker login'", repo)
			case registry.ManifestUnknown:
				return fmt.Errorf("manifest for %s not found: manifest unknown: manifest unknown", p.ref.Familiar())
			}
		}
		switch t.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden:
			return fmt.Errorf("pull access denied for %s, repository does not exist or may require 'docker login'", repo)
		case http.StatusNotFound:
			return fmt.Errorf("manifest for %s not found: manifest unknown: manifest unknown", p.ref.Familiar())
		}
	}
	text := err.Error()
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	return &pullError{fmt.Sprintf("failed to pull %s: %s", p.ref.Familiar(), text), err}
}

type pullError struct {
	text string
	err  error
}

func (e *pullError) Error() string { return e.text }
func (e *pullError) Unwrap() error { return e.err }
