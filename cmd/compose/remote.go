package main

import (
	"context"
	"path/filepath"
	"strings"

	"compose/orchestrator"
)

// published fetches applications that `publish` has stored in a registry, for
// -f and include. What is not named by a digest is asked for once a command.
type published struct {
	app   *App
	known map[string]string // reference with its scheme -> directory
}

const publishedScheme = "oci://"

func (p *published) Accept(path string) bool { return strings.HasPrefix(path, publishedScheme) }

func (p *published) Load(ctx context.Context, path string) (string, error) {
	if dir, ok := p.known[path]; ok {
		return filepath.Join(dir, "compose.yaml"), nil
	}
	r, err := p.app.roots()
	if err != nil {
		return "", err
	}
	dir, err := orchestrator.FetchPublished(ctx, r, strings.TrimPrefix(path, publishedScheme))
	if err != nil {
		return "", err
	}
	if p.known == nil {
		p.known = map[string]string{}
	}
	p.known[path] = dir
	return filepath.Join(dir, "compose.yaml"), nil
}

func (p *published) Dir(path string) string { return p.known[path] }
