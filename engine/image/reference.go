package image

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/distribution/reference"
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
	return Reference{reference.TagNameOnly(named)}, nil
}

// String is the whole name: host/path:tag or host/path@digest.
func (r Reference) String() string { return r.named.String() }

// Familiar is the name as Docker shows it: without what can be left out.
func (r Reference) Familiar() string { return reference.FamiliarString(r.named) }

// Repository is the familiar name without tag and digest.
func (r Reference) Repository() string { return reference.FamiliarName(r.named) }

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

var idPattern = regexp.MustCompile(`^(sha256:)?[0-9a-f]{4,64}$`)

// asID returns the hexadecimal part of what may be an image ID or its beginning.
func asID(s string) (string, bool) {
	if !idPattern.MatchString(s) {
		return "", false
	}
	return strings.TrimPrefix(s, "sha256:"), true
}
