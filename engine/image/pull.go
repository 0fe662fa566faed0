package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// PullOptions say what Pull fetches and who hears of it.
type PullOptions struct {
	Platform string         // "os/arch[/variant]"; empty: this host's
	Progress func(Progress) // may be called from several goroutines
	Keychain authn.Keychain // nil: Docker's own config file and credential helpers
}

// Limits on what a registry may send us as a description of an image.
const (
	maxManifest = 4 << 20
	maxConfig   = 8 << 20
	maxLayers   = 125
)

// parallelLayers is how many layers travel at once, as in Docker.
const parallelLayers = 3

// Pull fetches an image by name from its registry and stores it under that
// name. Layers that are here already are not fetched again, and one that was
// interrupted goes on where it stopped.
func (s *Store) Pull(ctx context.Context, ref string, opts PullOptions) (*Image, error) {
	parsed, err := ParseReference(ref)
	if err != nil {
		return nil, err
	}
	p := &pull{store: s, ref: parsed, opts: opts}
	if p.opts.Keychain == nil {
		p.opts.Keychain = authn.DefaultKeychain
	}
	if p.opts.Progress == nil {
		p.opts.Progress = func(Progress) {}
	}
	img, err := p.run(ctx)
	if err != nil {
		if full := fullDisk(err); full != nil {
			p.discardPartial()
			return nil, full
		}
		return nil, p.explain(err)
	}
	return img, nil
}

// pull is one Pull under way.
type pull struct {
	store *Store
	ref   Reference
	opts  PullOptions

	repo      name.Repository
	transport http.RoundTripper

	mu      sync.Mutex
	partial []string // files of unfinished downloads
}

func (p *pull) say(layer, status string, current, total int64) {
	p.opts.Progress(Progress{Ref: p.ref.Familiar(), Layer: layer, Status: status, Current: current, Total: total})
}

func (p *pull) run(ctx context.Context) (*Image, error) {
	target, err := name.ParseReference(p.ref.String())
	if err != nil {
		return nil, err
	}
	p.repo = target.Context()
	platform := hostPlatform()
	if p.opts.Platform != "" {
		if platform, err = parsePlatform(p.opts.Platform); err != nil {
			return nil, err
		}
	}
	base := &limitedTransport{inner: remote.DefaultTransport}
	desc, err := remote.Get(target,
		remote.WithContext(ctx), remote.WithAuthFromKeychain(p.opts.Keychain), remote.WithTransport(base),
		remote.WithPlatform(v1.Platform{OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant}))
	if err != nil {
		return nil, err
	}
	if len(desc.Manifest) > maxManifest {
		return nil, fmt.Errorf("the registry sent a manifest of %d bytes: more than %d is refused", len(desc.Manifest), maxManifest)
	}
	img, err := desc.Image()
	if err != nil {
		return nil, err
	}
	manifest, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Layers) > maxLayers || manifest.Config.Size > maxConfig {
		return nil, fmt.Errorf("the image has %d layers and a configuration of %d bytes: more than %d and %d is refused",
			len(manifest.Layers), manifest.Config.Size, maxLayers, maxConfig)
	}
	raw, err := img.RawConfigFile()
	if err != nil {
		return nil, err
	}
	if got := digest.FromBytes(raw); got.String() != manifest.Config.Digest.String() {
		return nil, fmt.Errorf("the configuration does not match its digest %s", manifest.Config.Digest)
	}
	var config ocispec.Image
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, fmt.Errorf("read the image's configuration: %w", err)
	}
	if len(config.RootFS.DiffIDs) != len(manifest.Layers) {
		return nil, fmt.Errorf("the image names %d layers and %d contents of layers", len(manifest.Layers), len(config.RootFS.DiffIDs))
	}
	if err := p.connect(ctx); err != nil {
		return nil, err
	}
	layers, err := p.layers(ctx, manifest, config)
	if err != nil {
		return nil, err
	}
	rawManifest, err := img.RawManifest()
	if err != nil {
		return nil, err
	}
	manifestDigest := digest.FromBytes(rawManifest)
	if err := p.store.writeBlob(manifestDigest, rawManifest); err != nil {
		return nil, err
	}
	digests := []string{p.ref.Repository() + "@" + desc.Digest.String()}
	var tags []string
	if p.ref.Tag() != "" {
		tags = []string{p.ref.String()}
	}
	return p.store.put(ctx, raw, config, layers, tags, manifestDigest.String(), digests)
}

// connect prepares authenticated requests for blobs.
func (p *pull) connect(ctx context.Context) error {
	auth, err := authn.Resolve(ctx, p.opts.Keychain, p.repo)
	if err != nil {
		return err
	}
	p.transport, err = transport.NewWithContext(ctx, p.repo.Registry, auth, remote.DefaultTransport, []string{p.repo.Scope(transport.PullScope)})
	return err
}

// layers brings every layer here, several at a time.
func (p *pull) layers(ctx context.Context, m *v1.Manifest, config ocispec.Image) ([]Layer, error) {
	layers := make([]Layer, len(m.Layers))
	chain := digest.Digest("")
	for i, diff := range config.RootFS.DiffIDs {
		if err := diff.Validate(); err != nil {
			return nil, fmt.Errorf("diff ID %q: %w", diff, err)
		}
		parent := chain
		chain = ChainID(parent, diff)
		layers[i] = Layer{
			Digest: digest.Digest(m.Layers[i].Digest.String()), DiffID: diff, ChainID: chain, MediaType: string(m.Layers[i].MediaType),
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
	if known, ok := p.store.layerInfo(l.ChainID); ok {
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
	plain, err := decompress(f)
	if err != nil {
		return err
	}
	defer plain.Close()
	made, err := p.store.unpackKnown(ctx, *l, plain)
	if err != nil {
		return err
	}
	l.Size = made.Size
	p.say(short, "Pull complete", size, size)
	return nil
}

// explain turns a registry's error into what a Docker user knows.
func (p *pull) explain(err error) error {
	var t *transport.Error
	if errors.As(err, &t) {
		repo := p.ref.Repository()
		for _, d := range t.Errors {
			switch d.Code {
			case transport.UnauthorizedErrorCode, transport.DeniedErrorCode, transport.NameUnknownErrorCode:
				return fmt.Errorf("pull access denied for %s, repository does not exist or may require 'docker login'", repo)
			case transport.ManifestUnknownErrorCode:
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

// limitedTransport keeps a registry from sending descriptions without end;
// blobs do not come this way.
type limitedTransport struct{ inner http.RoundTripper }

func (l *limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := l.inner.RoundTrip(r)
	if err == nil && reply.ContentLength > maxConfig {
		reply.Body.Close()
		return nil, fmt.Errorf("the registry announced %d bytes where at most %d are sensible", reply.ContentLength, maxConfig)
	}
	if err == nil {
		reply.Body = http.MaxBytesReader(nil, reply.Body, maxConfig)
	}
	return reply, err
}
