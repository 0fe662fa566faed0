package image

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"

	"compose/internal/lazy"
)

// Reference is the name of an image in full, as Docker normalises it: with a
// registry's host, "library/" where a name stands alone, and a tag or a digest.
type Reference struct {
	named reference.Named
}

// ParseReference reads a name as a user writes it; without a tag it means "latest".
func ParseReference(s string) (Reference, error) {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return Reference{}, fmt.Errorf("invalid reference format: %q: %w", s, err)
	}
	if reference.Domain(named) == "" {
		// "my_host.example/app": what stands for a host is none, and it is no
		// part of a path on the default registry either.
		host, _, _ := strings.Cut(s, "/")
		return Reference{}, fmt.Errorf("invalid reference format: %q: %q is not a registry's host name", s, host)
	}
	return Reference{reference.TagNameOnly(named)}, nil
}

// String is the whole name: host/path:tag or host/path@digest.
func (r Reference) String() string { return r.named.String() }

// Familiar is the name as Docker shows it: without what can be left out.
func (r Reference) Familiar() string {
	if r.needsHost() {
		return r.named.String()
	}
	return reference.FamiliarString(r.named)
}

// Repository is the familiar name without tag and digest.
func (r Reference) Repository() string {
	if r.needsHost() {
		return r.named.Name()
	}
	return reference.FamiliarName(r.named)
}

// needsHost says that the name without the default registry's host would mean
// another one: docker.io/localhost/app is not localhost/app.
func (r Reference) needsHost() bool {
	again, err := reference.ParseNormalizedNamed(reference.FamiliarName(r.named))
	return err != nil || again.Name() != r.named.Name()
}

// Host is the registry's host, with its port if it has one.
func (r Reference) Host() string { return reference.Domain(r.named) }

// Path is the repository within its registry.
func (r Reference) Path() string { return reference.Path(r.named) }

// target is the last part of a manifest's URL: the digest or the tag.
func (r Reference) target() string {
	if d := r.Digest(); d != "" {
		return d
	}
	return r.Tag()
}

// Tag is the tag, or "" for a name by digest.
func (r Reference) Tag() string {
	if t, ok := r.named.(reference.Tagged); ok {
		return t.Tag()
	}
	return ""
}

// Digest is the digest that the name ends in, or "".
func (r Reference) Digest() string {
	if d, ok := r.named.(reference.Digested); ok {
		return d.Digest().String()
	}
	return ""
}

var idPattern = lazy.Regexp(`^(sha256:)?[0-9a-f]{4,64}$`)

// asID returns the hexadecimal part of what may be an image ID or its beginning.
func asID(s string) (string, bool) {
	if !idPattern().MatchString(s) {
		return "", false
	}
	return strings.TrimPrefix(s, "sha256:"), true
}
