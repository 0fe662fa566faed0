package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/loader"

	"compose/engine/build/gitsource"
	"compose/orchestrator"
)

// remotes are what fetches Compose files that are not of this host, for -f,
// include and extends. Each is asked for once a command.
type remotes struct {
	published  published
	repository repository
}

func newRemotes(app *App) *remotes {
	return &remotes{published{app: app, known: map[string]string{}}, repository{app: app, known: map[string]string{}}}
}

func (r *remotes) loaders() []loader.ResourceLoader {
	return []loader.ResourceLoader{&r.repository, &r.published}
}

// accept says whether a file is not of this host.
func (r *remotes) accept(path string) bool {
	return r.published.Accept(path) || r.repository.Accept(path)
}

// fetched are the addresses of the files that have been fetched, in order.
func (r *remotes) fetched() []string {
	var all []string
	for _, known := range []map[string]string{r.published.known, r.repository.known} {
		for address := range known {
			all = append(all, address)
		}
	}
	slices.Sort(all)
	return all
}

// published fetches applications that `publish` has stored in a registry.
type published struct {
	app   *App
	known map[string]string // reference with its scheme -> directory
}

const publishedScheme = "oci://"

// The variables that say, if set, whether files are fetched from registries
// and Git repositories at all.
const (
	ociSwitch = "COMPOSE_EXPERIMENTAL_OCI_REMOTE"
	gitSwitch = "COMPOSE_EXPERIMENTAL_GIT_REMOTE"
)

// allowed fails where the variable says that kind of files is not fetched.
func allowed(kind, name string) error {
	v := os.Getenv(name)
	if v == "" {
		return nil
	}
	on, err := strconv.ParseBool(v)
	if err != nil {
		return fmt.Errorf("%s environment variable expects boolean value: %w", name, err)
	}
	if !on {
		return fmt.Errorf("%s remote resource is disabled by %q", kind, name)
	}
	return nil
}

func (p *published) Accept(path string) bool { return strings.HasPrefix(path, publishedScheme) }

func (p *published) Load(ctx context.Context, path string) (string, error) {
	if err := allowed("OCI", ociSwitch); err != nil {
		return "", err
	}
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
	p.known[path] = dir
	return filepath.Join(dir, "compose.yaml"), nil
}

func (p *published) Dir(path string) string { return p.known[path] }

// repository fetches Git repositories: https://host/name.git#ref:path and the
// other forms that BuildKit takes for contexts.
type repository struct {
	app   *App
	known map[string]string // address -> directory
}

func (g *repository) Accept(path string) bool {
	_, _, err := gitsource.Parse(path)
	return err == nil
}

func (g *repository) Load(ctx context.Context, path string) (string, error) {
	if err := allowed("git", gitSwitch); err != nil {
		return "", err
	}
	src, name, err := gitsource.Parse(path)
	if err != nil {
		return "", err
	}
	dir, ok := g.known[path]
	if !ok {
		r, err := g.app.roots()
		if err != nil {
			return "", err
		}
		src.SkipSubmodules, src.UserConfig = true, true
		dir, err = orchestrator.FetchRepository(ctx, r, src)
		if err != nil {
			return "", err
		}
		g.known[path] = dir
	}
	file, err := composeFileIn(dir, name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}

func (g *repository) Dir(path string) string { return g.known[path] }

// composeFileIn finds the Compose file at a path of a repository, or in the
// directory there. Links of the repository do not lead out of it.
func composeFileIn(dir, name string) (string, error) {
	if name == "" {
		name = "."
	}
	if !filepath.IsLocal(name) {
		return "", fmt.Errorf("%s is not a path inside of the repository", name)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return filepath.Join(dir, name), nil
	}
	for _, file := range cli.DefaultFileNames {
		if info, err := root.Stat(filepath.Join(name, file)); err == nil && !info.IsDir() {
			return filepath.Join(dir, name, file), nil
		}
	}
	return "", errors.New("there is no Compose file")
}
