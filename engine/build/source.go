package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/platforms"
	"github.com/docker/go-units"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/patternmatcher"
	"github.com/opencontainers/go-digest"

	"compose/engine/image"
)

// sourceOp brings files in from outside.
func (s *session) sourceOp(ctx context.Context, v *vertex, op *pb.SourceOp) (*snapshot, bool, error) {
	scheme, rest, ok := strings.Cut(op.Identifier, "://")
	if !ok {
		return nil, false, fmt.Errorf("the source %q has no scheme", op.Identifier)
	}
	switch scheme {
	case "docker-image":
		return s.imageSource(ctx, v, rest)
	case "local":
		snap, err := s.localSource(rest, op.Attrs)
		if err == nil && rest == dockerfileName {
			s.tellDockerfile(v.task, op.Attrs[pb.AttrFollowPaths])
		}
		return snap, false, err
	case "http", "https":
		return s.httpSource(ctx, v, op)
	case "git":
		return s.gitSource(ctx, v, op)
	}
	return nil, false, fmt.Errorf("sources of type %s are not supported", scheme)
}

// imageSource is the files of an image, which resolving has brought here.
func (s *session) imageSource(ctx context.Context, v *vertex, ref string) (*snapshot, bool, error) {
	s.mu.Lock()
	img := s.images[ref]
	s.mu.Unlock()
	if img == nil {
		var err error
		if img, err = s.findImage(ctx, ref, platformOf(v.op.Platform), v.task); err != nil {
			return nil, false, err
		}
	}
	snap := &snapshot{}
	for _, l := range img.Layers {
		snap.layers = append(snap.layers, layer{Layer: l})
	}
	// Layers that have gone missing since are noticed here, not in mid-build.
	_, err := s.lowers(snap)
	return snap, false, err
}

func platformOf(p *pb.Platform) string {
	if p == nil || p.OS == "" {
		return ""
	}
	out := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		out += "/" + p.Variant
	}
	return out
}

// findImage gets an image: this host's own first, one from its registry if
// there is none or the build is to look for newer ones.
func (s *session) findImage(ctx context.Context, ref, platform string, t *task) (*image.Image, error) {
	img, err := s.store.Get(ctx, ref)
	var missing *image.NotFoundError
	if err != nil && !errors.As(err, &missing) {
		return nil, err
	}
	usable := err == nil && samePlatform(img.Platform, platform)
	if usable && !s.opts.Pull {
		return img, nil
	}
	pulled, err := s.store.Pull(ctx, ref, image.PullOptions{Platform: platform, Progress: func(p image.Progress) {
		if p.Layer != "" {
			t.status(Status{ID: p.Layer, Text: p.Status, Current: p.Current, Total: p.Total, Done: p.Status == "Pull complete" || p.Status == "Already exists"})
		}
	}})
	if err != nil && usable && ctx.Err() == nil {
		// An image made on this host has no newer one anywhere.
		return img, nil
	}
	return pulled, err
}

func samePlatform(have, want string) bool {
	if want == "" {
		return true
	}
	h, err1 := platforms.Parse(have)
	w, err2 := platforms.Parse(want)
	return err1 != nil || err2 != nil || platforms.Only(w).Match(h)
}

// resolveImage is the frontend's question for an image's configuration. The
// answer's digest is the image's ID: it pins what the graph refers to.
func (s *session) resolveImage(ctx context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	name := opt.LogName
	if name == "" {
		name = "[internal] load metadata for " + ref
	}
	platform := ""
	if opt.ImageOpt != nil && opt.ImageOpt.Platform != nil {
		platform = platforms.FormatAll(*opt.ImageOpt.Platform)
	}
	t := s.step(name)
	t.start()
	img, err := s.findImage(ctx, ref, platform, t)
	var raw []byte
	if err == nil {
		raw, err = s.store.RawConfig(img)
	}
	t.end(false, err)
	if err != nil {
		return "", "", nil, err
	}
	s.mu.Lock()
	s.images[ref+"@"+img.ID] = img
	s.images[ref] = img
	s.mu.Unlock()
	return ref, digest.Digest(img.ID), raw, nil
}

// localSource is a directory of this host, seen through its patterns.
func (s *session) localSource(name string, attrs map[string]string) (*snapshot, error) {
	dir, ok := s.dirs[name]
	if !ok {
		return nil, fmt.Errorf("the build has no directory %q", name)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("build context: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("build context %s is not a directory", dir)
	}
	snap := &snapshot{dir: dir, asRoot: true}
	patterns, err := patternList(attrs[pb.AttrExcludePatterns])
	if err != nil {
		return nil, err
	}
	if len(patterns) > 0 {
		if snap.ignore, err = patternmatcher.New(patterns); err != nil {
			return nil, fmt.Errorf(".dockerignore: %w", err)
		}
	}
	return snap, nil
}

// tellDockerfile says how large the Dockerfile is, as BuildKit does when it
// has fetched it.
func (s *session) tellDockerfile(t *task, names string) {
	list, err := patternList(names)
	if err != nil || len(list) == 0 {
		return
	}
	if info, err := os.Stat(filepath.Join(s.dirs[dockerfileName], list[0])); err == nil {
		t.status(Status{ID: "transferring dockerfile: " + units.HumanSizeWithPrecision(float64(info.Size()), 3), Text: "done", Done: true})
	}
}

func patternList(text string) (list []string, err error) {
	if text == "" {
		return nil, nil
	}
	err = json.Unmarshal([]byte(text), &list)
	return list, err
}

// contextDir makes a named directory absolute and real, as its index is kept
// under that name.
func contextDir(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", fmt.Errorf("unable to prepare context: path %q not found", dir)
	}
	return real, nil
}
