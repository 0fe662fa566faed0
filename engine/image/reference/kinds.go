package reference

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// repository is a name alone.
type repository struct{ domain, path string }

func (r repository) String() string { return r.Name() }

func (r repository) Name() string {
	if r.domain == "" {
		return r.path
	}
	return r.domain + "/" + r.path
}

func (r repository) familiar() repository {
	if r.domain != hub {
		return r
	}
	if image, ok := strings.CutPrefix(r.path, official); ok && !strings.Contains(image, "/") {
		return repository{"", image}
	}
	return repository{"", r.path}
}

func (r repository) itself() repository { return r }

// repositoryOf is the name in one of the kinds below, which have it embedded.
func repositoryOf(ref Named) repository {
	if r, ok := ref.(interface{ itself() repository }); ok {
		return r.itself()
	}
	r, _ := splitName(ref.Name()) // somebody else's: what is no name is all path
	return r
}

type tagged struct {
	repository
	tag string
}

func (t tagged) String() string { return t.Name() + ":" + t.tag }
func (t tagged) Tag() string    { return t.tag }

type digested struct {
	repository
	digest digest.Digest
}

func (d digested) String() string        { return d.Name() + "@" + d.digest.String() }
func (d digested) Digest() digest.Digest { return d.digest }

type taggedDigested struct {
	tagged
	digest digest.Digest
}

func (t taggedDigested) String() string        { return t.tagged.String() + "@" + t.digest.String() }
func (t taggedDigested) Digest() digest.Digest { return t.digest }

// with returns the kind that has these parts, of which tag and digest may be empty.
func with(r repository, tag string, d digest.Digest) Named {
	switch {
	case tag != "" && d != "":
		return taggedDigested{tagged{r, tag}, d}
	case tag != "":
		return tagged{r, tag}
	case d != "":
		return digested{r, d}
	}
	return r
}
