// Package registry speaks the OCI distribution protocol to one repository of
// a registry: manifests and blobs, both ways. What a registry sends is
// hostile: descriptions have a limit, and nobody but the registry itself, and
// the token server it names, ever sees its credentials.
package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"compose/internal/lateinit"
)

// maxDescription bounds manifests and error replies, in bytes.
const maxDescription = 4 << 20

// The media types of manifests.
const (
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	DockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerConfig   = "application/vnd.docker.container.image.v1+json"
	DockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// Actions that a Client may be for.
const (
	Pull = transport.PullScope
	Push = transport.PushScope
)

// Keychain is where credentials are found; nil stands for Docker's own
// configuration file and the helpers that it names.
type Keychain = authn.Keychain

// Error is what a registry says instead of what it was asked for.
type Error = transport.Error

// Codes of an Error.
const (
	Unauthorized    = transport.UnauthorizedErrorCode
	Denied          = transport.DeniedErrorCode
	NameUnknown     = transport.NameUnknownErrorCode
	ManifestUnknown = transport.ManifestUnknownErrorCode
)

// Client is a connection to one repository. It may be used by several
// goroutines at once.
type Client struct {
	host string
	repo string // path within the registry
	http *http.Client
}

// Dial finds out how the registry wants to be spoken to and authenticates.
// from are further repositories that blobs may be mounted from.
func Dial(ctx context.Context, c *Config, keys Keychain, host, repo, action string, from ...string) (*Client, error) {
	reg, base, err := c.registry(host)
	if err != nil {
		return nil, err
	}
	if keys == nil {
		keys = authn.DefaultKeychain
	}
	target := reg.Repo(repo)
	auth, err := authn.Resolve(ctx, keys, target)
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", host, err)
	}
	scopes := []string{target.Scope(action)}
	for _, f := range from {
		scopes = append(scopes, reg.Repo(f).Scope(Pull))
	}
	var rt http.RoundTripper
	err = Retry(ctx, func() error {
		if rt, err = transport.NewWithContext(ctx, reg, auth, base, scopes); err != nil {
			return temporaryStatus(err)
		}
		return nil
	})
	if err != nil {
		return nil, connectError(err)
	}
	return &Client{host: reg.RegistryStr(), repo: repo, http: &http.Client{Transport: rt}}, nil
}

// registry is the host as go-containerregistry knows it, and its transport.
func (c *Config) registry(host string) (name.Registry, http.RoundTripper, error) {
	lateinit.Run(lateinit.Registries)
	var opts []name.Option
	if c.isPlain(host) {
		opts = append(opts, name.Insecure)
	}
	reg, err := name.NewRegistry(host, opts...)
	if err != nil {
		return name.Registry{}, nil, err
	}
	base, err := c.base(reg.RegistryStr())
	return reg, base, err
}

// temporaryStatus tries again only what the registry itself calls temporary:
// a host that is not there is better reported at once.
func temporaryStatus(err error) error {
	var t *transport.Error
	if errors.As(err, &t) && isTemporary(t.StatusCode) {
		return &TemporaryError{Err: err}
	}
	return err
}

// connectError picks the one of several errors that tells most: the attempt
// over plain HTTP that follows a failed one over TLS has little to add.
func connectError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return fmt.Errorf("cannot reach the registry: %w", u)
	}
	return err
}

func (c *Client) url(format string, args ...any) string {
	return "https://" + c.host + "/v2/" + c.repo + fmt.Sprintf(format, args...)
}

// do sends one request; connection errors come back as *TemporaryError.
func (c *Client) do(ctx context.Context, method, url string, header http.Header, body io.Reader, size int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if body != nil {
		req.ContentLength = size
	}
	reply, err := c.http.Do(req)
	if err != nil {
		return nil, temporary(ctx, err)
	}
	return reply, nil
}

// Manifest is a manifest or an index as the registry has it.
type Manifest struct {
	Raw       []byte
	MediaType string
	Digest    digest.Digest
}

// IsIndex says whether it lists manifests of several platforms.
func (m *Manifest) IsIndex() bool {
	return m.MediaType == ocispec.MediaTypeImageIndex || m.MediaType == DockerIndex
}

var accepted = []string{DockerManifest, DockerIndex, ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex}

// Manifest fetches a manifest by tag or digest. What is asked for by digest
// has it.
func (c *Client) Manifest(ctx context.Context, ref string) (*Manifest, error) {
	m := &Manifest{}
	return m, Retry(ctx, func() error {
		reply, err := c.do(ctx, http.MethodGet, c.url("/manifests/%s", ref), http.Header{"Accept": accepted}, nil, 0)
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		if err := check(reply, http.StatusOK); err != nil {
			return err
		}
		if m.Raw, err = readAll(ctx, reply, maxDescription); err != nil {
			return err
		}
		m.Digest = digest.FromBytes(m.Raw)
		if want, err := digest.Parse(ref); err == nil && m.Digest != want {
			return fmt.Errorf("manifest %s: the registry sent content with the digest %s", want, m.Digest)
		}
		m.MediaType, err = manifestType(reply.Header.Get("Content-Type"), m.Raw)
		return err
	})
}

// manifestType is what a manifest is by its registry's word or its own. One
// that could be read as two things is refused.
func manifestType(header string, raw []byte) (string, error) {
	var m struct {
		MediaType         string          `json:"mediaType"`
		Manifests, Layers json.RawMessage `json:",omitempty"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return "", fmt.Errorf("read the manifest: %w", err)
	}
	if m.Manifests != nil && m.Layers != nil {
		return "", errors.New("the manifest is both of one image and an index of several: it is refused")
	}
	kind, _, err := mime.ParseMediaType(header)
	if err != nil || !slices.Contains(accepted, kind) && m.MediaType != "" {
		kind = m.MediaType
	}
	if !slices.Contains(accepted, kind) {
		return "", fmt.Errorf("the registry sent a manifest of the type %q, which is not supported", kind)
	}
	return kind, nil
}

// readAll reads a description to its end, and not more than limit bytes.
func readAll(ctx context.Context, reply *http.Response, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(reply.Body, limit+1))
	if err != nil {
		return nil, temporary(ctx, fmt.Errorf("the transfer broke off: %w", err))
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("the registry sent a description of more than %d bytes: it is refused", limit)
	}
	return data, nil
}

// SmallBlob fetches a blob whole, such as a configuration, and checks it.
func (c *Client) SmallBlob(ctx context.Context, d digest.Digest, limit int64) (data []byte, err error) {
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("digest %q: %w", d, err)
	}
	return data, Retry(ctx, func() error {
		reply, err := c.do(ctx, http.MethodGet, c.url("/blobs/%s", d), nil, nil, 0)
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		if err := check(reply, http.StatusOK); err != nil {
			return err
		}
		if data, err = readAll(ctx, reply, limit); err != nil {
			return err
		}
		if got := d.Algorithm().FromBytes(data); got != d {
			return fmt.Errorf("blob %s: the registry sent content with the digest %s", d, got)
		}
		return nil
	})
}

// Blob asks once for a blob from a byte on and returns where the reply starts:
// a registry that knows no ranges, or not this one, sends it from the beginning.
func (c *Client) Blob(ctx context.Context, d digest.Digest, from int64) (body io.ReadCloser, start int64, err error) {
	header := http.Header{}
	if from > 0 {
		header.Set("Range", "bytes="+strconv.FormatInt(from, 10)+"-")
	}
	reply, err := c.do(ctx, http.MethodGet, c.url("/blobs/%s", d), header, nil, 0)
	if err != nil {
		return nil, 0, err
	}
	if from > 0 && reply.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		reply.Body.Close()
		return c.Blob(ctx, d, 0)
	}
	if err := check(reply, http.StatusOK, http.StatusPartialContent); err != nil {
		reply.Body.Close()
		return nil, 0, err
	}
	if reply.StatusCode == http.StatusOK {
		from = 0
	}
	return reply.Body, from, nil
}

// PutManifest stores a manifest under a tag or its digest.
func (c *Client) PutManifest(ctx context.Context, ref, mediaType string, raw []byte) error {
	return Retry(ctx, func() error {
		reply, err := c.do(ctx, http.MethodPut, c.url("/manifests/%s", ref), http.Header{"Content-Type": {mediaType}}, bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		return check(reply, http.StatusOK, http.StatusCreated, http.StatusAccepted)
	})
}

// maxTags bounds how many tags of one repository are listed.
const maxTags = 10_000

// Tags lists the tags of the repository.
func (c *Client) Tags(ctx context.Context) (tags []string, err error) {
	for last := ""; ; {
		page, err := c.tagPage(ctx, last)
		if err != nil {
			return nil, err
		}
		tags = append(tags, page...)
		if len(page) < tagPage || len(tags) > maxTags || page[len(page)-1] == last {
			return tags, nil
		}
		last = page[len(page)-1]
	}
}

const tagPage = 100

func (c *Client) tagPage(ctx context.Context, last string) (tags []string, err error) {
	err = Retry(ctx, func() error {
		reply, err := c.do(ctx, http.MethodGet, c.url("/tags/list?n=%d&last=%s", tagPage, url.QueryEscape(last)), nil, nil, 0)
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		if err := check(reply, http.StatusOK); err != nil {
			return err
		}
		data, err := readAll(ctx, reply, maxDescription)
		if err != nil {
			return err
		}
		var page struct {
			Tags []string `json:"tags"`
		}
		if err := json.Unmarshal(data, &page); err != nil {
			return fmt.Errorf("the registry's list of tags: %w", err)
		}
		tags = page.Tags
		return nil
	})
	return tags, err
}
