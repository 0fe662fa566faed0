package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"compose/engine/image/registry"
)

// PushOptions say who hears of a Push.
type PushOptions struct {
	Keychain registry.Keychain // nil: Docker's config file and its helpers
	Progress func(Progress)    // nil: nobody
}

// Pushed is what a registry has after a Push.
type Pushed struct {
	Digest digest.Digest // of the manifest
	Size   int           // of the manifest, bytes
}

// Push sends an image to the registry that its name is of. Blobs that the
// registry has are not sent again, and what another repository there has is
// taken from that. An image that was pulled is pushed as it came, byte for
// byte.
func (s *Store) Push(ctx context.Context, ref string, opts PushOptions) (Pushed, error) {
	release, err := s.Use()
	if err != nil {
		return Pushed{}, err
	}
	defer release()
	parsed, err := ParseReference(ref)
	if err != nil {
		return Pushed{}, err
	}
	if parsed.Tag() == "" {
		return Pushed{}, errors.New("cannot push a digest reference; name a tag")
	}
	img, err := s.Get(ctx, parsed.String())
	if err != nil {
		return Pushed{}, fmt.Errorf("An image does not exist locally with the tag: %s", parsed.Repository()) //lint:ignore ST1005 Docker's own words
	}
	if opts.Progress == nil {
		opts.Progress = func(Progress) {}
	}
	config, err := registry.LoadConfig(s.state)
	if err != nil {
		return Pushed{}, err
	}
	// Names of one repository share their blobs, and a registry may mix up two
	// transfers of one blob: the later push finds what the earlier has sent.
	turn, _ := s.pushing.LoadOrStore(parsed.Host()+"/"+parsed.Path(), new(sync.Mutex))
	turn.(*sync.Mutex).Lock()
	defer turn.(*sync.Mutex).Unlock()
	p := &push{store: s, ref: parsed, img: img, opts: opts}
	p.from = p.neighbours()
	if p.client, err = registry.Dial(ctx, config, opts.Keychain, parsed.Host(), parsed.Path(), registry.Push, p.from...); err != nil {
		return Pushed{}, p.explain(err)
	}
	done, err := p.run(ctx)
	return done, p.explain(err)
}

type push struct {
	store  *Store
	ref    Reference
	img    *Image
	opts   PushOptions
	client *registry.Client
	from   []string // other repositories of the registry that may have blobs
}

// neighbours are the repositories of the same registry that are known to have
// layers of the image.
func (p *push) neighbours() []string {
	var list []string
	add := func(name string) {
		r, err := ParseReference(name)
		if err == nil && r.Host() == p.ref.Host() && r.Path() != p.ref.Path() && !slices.Contains(list, r.Path()) && len(list) < 3 {
			list = append(list, r.Path())
		}
	}
	for _, d := range p.img.RepoDigests {
		add(d)
	}
	for _, l := range p.img.Layers {
		for _, r := range p.store.readBlobInfo(l.ChainID).Repositories {
			add(r)
		}
	}
	return list
}

func (p *push) run(ctx context.Context) (Pushed, error) {
	layers := make([]ocispec.Descriptor, len(p.img.Layers))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelLayers)
	for i, l := range p.img.Layers {
		group.Go(func() (err error) {
			layers[i], err = p.layer(groupCtx, l)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Pushed{}, err
	}
	raw, err := p.store.RawConfig(p.img)
	if err != nil {
		return Pushed{}, err
	}
	config := ocispec.Descriptor{MediaType: registry.DockerConfig, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	has, _, err := p.client.HasBlob(ctx, config.Digest)
	if err != nil {
		return Pushed{}, err
	}
	if !has {
		open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(raw))), nil }
		if err := p.client.Upload(ctx, config.Digest, config.Size, open); err != nil {
			return Pushed{}, err
		}
	}
	manifest, mediaType, err := p.store.manifestOf(p.img, config, layers)
	if err != nil {
		return Pushed{}, err
	}
	if err := p.client.PutManifest(ctx, p.ref.Tag(), mediaType, manifest); err != nil {
		return Pushed{}, err
	}
	return Pushed{Digest: digest.FromBytes(manifest), Size: len(manifest)}, nil
}

// manifestOf is the manifest that the image came with, if it is of these very
// blobs, or a new one in Docker's form.
func (s *Store) manifestOf(img *Image, config ocispec.Descriptor, layers []ocispec.Descriptor) (raw []byte, mediaType string, err error) {
	ix, err := s.known()
	if err != nil {
		return nil, "", err
	}
	if r := ix.Images[img.ID]; r != nil && r.Manifest != "" {
		if raw, err := os.ReadFile(s.blobPath(digest.Digest(r.Manifest))); err == nil {
			m, err := parseManifest(raw)
			same := err == nil && m.Config.Digest == config.Digest && slices.EqualFunc(m.Layers, layers, func(a, b ocispec.Descriptor) bool { return a.Digest == b.Digest })
			if same {
				mediaType := m.MediaType
				if mediaType == "" {
					mediaType = ocispec.MediaTypeImageManifest
				}
				return raw, mediaType, nil
			}
		}
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: registry.DockerManifest, Config: config, Layers: layers}
	if layers == nil {
		m.Layers = []ocispec.Descriptor{}
	}
	for _, l := range layers {
		if strings.HasPrefix(l.MediaType, "application/vnd.oci.") {
			m.MediaType, m.Config.MediaType = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig
		}
	}
	if m.MediaType == ocispec.MediaTypeImageManifest {
		for i := range m.Layers {
			if m.Layers[i].MediaType == registry.DockerLayer {
				m.Layers[i].MediaType = ocispec.MediaTypeImageLayerGzip
			}
		}
	}
	raw, err = json.MarshalIndent(m, "", "   ")
	return raw, m.MediaType, err
}

// layer sees to it that the registry has a layer's blob.
func (p *push) layer(ctx context.Context, l Layer) (ocispec.Descriptor, error) {
	id := l.DiffID.Encoded()[:12]
	say := func(status string) { p.opts.Progress(Progress{Ref: p.ref.Familiar(), Layer: id, Status: status}) }
	say("Preparing")
	d := ocispec.Descriptor{MediaType: layerType(l)}
	path, size, here := p.store.blobPathOf(l)
	if here {
		d.Digest, d.Size = l.Digest, size
	} else if info := p.store.readBlobInfo(l.ChainID); info.Digest != "" {
		d.Digest, d.Size = info.Digest, info.Size
	}
	if d.Digest != "" {
		has, _, err := p.client.HasBlob(ctx, d.Digest)
		if err != nil {
			return d, err
		}
		if has {
			say("Layer already exists")
			p.store.rememberBlob(l.ChainID, d.Digest, d.Size, p.ref.Repository())
			return d, nil
		}
		for _, from := range p.from {
			mounted, err := p.client.Mount(ctx, d.Digest, from)
			if err != nil {
				return d, err
			}
			if mounted {
				say("Mounted from " + from)
				p.store.rememberBlob(l.ChainID, d.Digest, d.Size, p.ref.Repository())
				return d, nil
			}
		}
	}
	open := func() (io.ReadCloser, error) { return os.Open(path) }
	if !here {
		f, sum, n, err := p.store.compressLayer(ctx, l)
		if err != nil {
			return d, err
		}
		defer f.Close()
		d.Digest, d.Size, d.MediaType = sum, n, registry.DockerLayer
		open = func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(f, 0, n)), nil }
	}
	counted := func() (io.ReadCloser, error) {
		r, err := open()
		if err != nil {
			return nil, err
		}
		return &countedReader{ReadCloser: r, p: p, id: id, total: d.Size}, nil
	}
	if err := p.client.Upload(ctx, d.Digest, d.Size, counted); err != nil {
		return d, err
	}
	say("Pushed")
	p.store.rememberBlob(l.ChainID, d.Digest, d.Size, p.ref.Repository())
	return d, nil
}

// countedReader tells how much has been sent.
type countedReader struct {
	io.ReadCloser
	p           *push
	id          string
	sent, total int64
	told        int64
}

func (c *countedReader) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.sent += int64(n)
	if c.sent-c.told > 1<<20 {
		c.told = c.sent
		c.p.opts.Progress(Progress{Ref: c.p.ref.Familiar(), Layer: c.id, Status: "Pushing", Current: c.sent, Total: c.total})
	}
	return n, err
}

// explain says what an error of the registry means for the user.
func (p *push) explain(err error) error {
	if err == nil {
		return nil
	}
	var t *registry.Error
	if errors.As(err, &t) && (t.StatusCode == http.StatusUnauthorized || t.StatusCode == http.StatusForbidden) {
		return fmt.Errorf("push access denied for %s: log in with \"login %s\", or ask for access: %w", p.ref.Repository(), p.ref.Host(), err)
	}
	return fmt.Errorf("failed to push %s: %w", p.ref.Familiar(), err)
}
