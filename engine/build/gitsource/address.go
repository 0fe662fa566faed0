package gitsource

import (
	"errors"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"

	"compose/internal/lateinit"
)

var errNoAddress = errors.New("not the address of a repository")

// Parse reads the address of a repository in the forms that BuildKit takes for
// contexts: https://host/name.git#ref:path, git@host:name, github.com/owner/name
// and so on. path is that of a directory or file in it, or "".
func Parse(address string) (src Source, path string, err error) {
	// Nearly all that is asked about is a path of this host, and need not wait
	// for what knows better.
	if !strings.Contains(address, ":") && !strings.HasPrefix(address, "github.com/") {
		return Source{}, "", errNoAddress
	}
	lateinit.Run(lateinit.Builds)
	ref, _, err := dfgitutil.ParseGitRef(address)
	if err != nil {
		return Source{}, "", err
	}
	src = Source{URL: ref.Remote, Ref: ref.Ref, Checksum: ref.Checksum}
	if ref.IndistinguishableFromLocal { // for git "github.com/a/b" alone would be a path
		src.URL = "https://" + ref.Remote
	}
	return src, ref.SubDir, nil
}
