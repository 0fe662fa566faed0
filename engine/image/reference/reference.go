package reference

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Reference is what can be written as one. Which of the other interfaces it
// has too says what is in it.
type Reference interface{ String() string }

// Named has a name: a domain and a path.
type Named interface {
	Reference
	Name() string
}

// Tagged has a tag.
type Tagged interface {
	Reference
	Tag() string
}

// Digested has a digest.
type Digested interface {
	Reference
	Digest() digest.Digest
}

// Canonical has a name and a digest, and stays what it is for ever.
type Canonical interface {
	Named
	Digest() digest.Digest
}

// maxPath is how long a path may be, in bytes.
const maxPath = 255

// Errors of Parse.
var (
	errInvalid = errors.New("invalid reference format")
	errCapital = errors.New("repository name must be lowercase")
	errEmpty   = errors.New("repository name must have at least one component")
	errTooLong = errors.New("repository name must not be more than 255 characters")
)

// Parse reads a reference to the letter: nothing stands for what is left out.
func Parse(s string) (Reference, error) { return parse(s) }

func parse(s string) (Named, error) {
	r, tag, hash, ok := split(s)
	if !ok {
		if s == "" {
			return nil, errEmpty
		}
		if _, _, _, ok := split(strings.ToLower(s)); ok {
			return nil, errCapital
		}
		return nil, errInvalid
	}
	if len(r.path) > maxPath {
		return nil, errTooLong
	}
	if hash != "" {
		if err := digest.Digest(hash).Validate(); err != nil {
			return nil, err
		}
	}
	return with(r, tag, digest.Digest(hash)), nil
}

// What Docker's own registry is called, and once was, and where its official
// images are.
const (
	hub         = "docker.io"
	formerHub   = "index.docker.io"
	official    = "library/"
	localDomain = "localhost"
)

// ParseNormalizedNamed reads a reference as users write it: without a domain
// it is one of Docker's own registry, and there without a slash an official
// image.
func ParseNormalizedNamed(s string) (Named, error) {
	if isIdentifier(s) {
		return nil, fmt.Errorf("invalid repository name (%s), cannot specify 64-byte hexadecimal strings", s)
	}
	domain, rest := home(s)
	if remote, _, _ := strings.Cut(rest, ":"); strings.ToLower(remote) != remote {
		return nil, fmt.Errorf("invalid reference format: repository name (%s) must be lowercase", remote)
	}
	return parse(domain + "/" + rest)
}

// home tells the domain, or what is in the place of one, from the rest of a
// reference that a user wrote.
func home(s string) (domain, rest string) {
	domain, rest, ok := strings.Cut(s, "/")
	switch {
	case ok && domain == formerHub:
		domain = hub
	case ok && (domain == localDomain || strings.ContainsAny(domain, ".:") || strings.ToLower(domain) != domain):
	default:
		domain, rest = hub, s
	}
	if domain == hub && !strings.Contains(rest, "/") {
		rest = official + rest
	}
	return domain, rest
}

// ParseDockerRef is ParseNormalizedNamed for somebody who wants to know which
// image is meant: a tag beside a digest is left out, without both the tag is
// "latest".
func ParseDockerRef(s string) (Named, error) {
	named, err := ParseNormalizedNamed(s)
	if err != nil {
		return nil, err
	}
	if both, ok := named.(taggedDigested); ok {
		return digested{both.repository, both.digest}, nil
	}
	return TagNameOnly(named), nil
}

// TagNameOnly adds the tag "latest" to a reference that has neither tag nor
// digest.
func TagNameOnly(ref Named) Named {
	switch ref.(type) {
	case Tagged, Digested:
		return ref
	}
	return tagged{repositoryOf(ref), "latest"}
}

// WithDigest gives a reference a digest, in the place of one that it has.
func WithDigest(ref Named, d digest.Digest) (Canonical, error) {
	if !isDigest(d.String()) {
		return nil, errors.New("invalid digest format")
	}
	r, tag := repositoryOf(ref), ""
	if t, ok := ref.(Tagged); ok {
		tag = t.Tag()
	}
	return with(r, tag, d).(Canonical), nil
}

// Domain is the domain of a reference's name, or "".
func Domain(ref Named) string { return repositoryOf(ref).domain }

// Path is the name of a reference without the domain.
func Path(ref Named) string { return repositoryOf(ref).path }

// FamiliarName is the name without what ParseNormalizedNamed would add.
func FamiliarName(ref Named) string { return repositoryOf(ref).familiar().Name() }

// FamiliarString is the reference without what ParseNormalizedNamed would add
// to its name.
func FamiliarString(ref Reference) string {
	switch r := ref.(type) {
	case repository:
		return r.familiar().String()
	case tagged:
		return tagged{r.familiar(), r.tag}.String()
	case digested:
		return digested{r.familiar(), r.digest}.String()
	case taggedDigested:
		return taggedDigested{tagged{r.familiar(), r.tag}, r.digest}.String()
	}
	return ref.String()
}

// FamiliarMatch says whether a pattern of path.Match matches a reference's
// familiar form, with or without tag and digest.
func FamiliarMatch(pattern string, ref Reference) (bool, error) {
	matched, err := path.Match(pattern, FamiliarString(ref))
	if named, ok := ref.(Named); ok && !matched {
		matched, _ = path.Match(pattern, FamiliarName(named)) // it said above what is wrong
	}
	return matched, err
}
