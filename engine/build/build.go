package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"compose/engine/image"
)

// contextName is the name of the main context in the graph.
const contextName = "context"

// maxDockerfile bounds a Dockerfile, in bytes.
const maxDockerfile = 2 << 20

// Build makes an image. A step that fails gives a *StepError.
func (b *Builder) Build(ctx context.Context, opts Options) (_ *image.Image, err error) {
	s, err := b.newSession(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if s.dirs[contextName], err = contextDir(opts.Context); err != nil {
		return nil, err
	}
	if err := s.readDockerfile(); err != nil {
		return nil, err
	}
	result, err := s.convert(ctx)
	if err != nil {
		return nil, located(err, s.file, s.source)
	}
	def, err := result.State.Marshal(ctx, llb.Platform(s.platform()))
	if err != nil {
		return nil, located(err, s.file, s.source)
	}
	last, err := s.load(def.ToPB())
	if err != nil {
		return nil, err
	}
	snap, err := s.solve(s.ctx, last)
	if err != nil {
		return nil, err
	}
	return s.export(ctx, snap, result)
}

func (s *session) readDockerfile() error {
	t := s.step("[internal] load build definition from " + s.dockerfileName())
	t.start()
	err := s.loadDockerfile()
	t.end(false, err)
	return err
}

func (s *session) dockerfileName() string {
	if s.opts.Dockerfile == "" {
		return "Dockerfile"
	}
	return filepath.Base(s.opts.Dockerfile)
}

func (s *session) loadDockerfile() error {
	s.file = s.dockerfileName()
	if s.opts.Inline != nil {
		s.source = s.opts.Inline
		return nil
	}
	path := s.opts.Dockerfile
	if path == "" {
		path = "Dockerfile"
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.dirs[contextName], path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("failed to read dockerfile: open %s: no such file or directory", path)
	}
	if info.Size() > maxDockerfile {
		return fmt.Errorf("failed to read dockerfile: %s has more than %d bytes", path, maxDockerfile)
	}
	s.source, err = os.ReadFile(path)
	return err
}

// excludes are the patterns of the ignore file: the Dockerfile's own, or the
// context's.
func (s *session) excludes() ([]string, error) {
	for _, name := range []string{s.dockerfileName() + ".dockerignore", ".dockerignore"} {
		data, err := os.ReadFile(filepath.Join(s.dirs[contextName], name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		patterns, err := ignorefile.ReadAll(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return patterns, nil
	}
	return nil, nil
}

func (s *session) platform() ocispec.Platform {
	if s.opts.Platform != "" {
		if p, err := platforms.Parse(s.opts.Platform); err == nil {
			return platforms.Normalize(p)
		}
	}
	return platforms.Normalize(platforms.DefaultSpec())
}

// metaResolver lets the frontend ask for images.
type metaResolver struct{ s *session }

func (m metaResolver) ResolveImageConfig(ctx context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return m.s.resolveImage(ctx, ref, opt)
}

// convert has BuildKit's frontend turn the Dockerfile into a graph.
func (s *session) convert(ctx context.Context) (*dockerfile2llb.Result, error) {
	if s.opts.Platform != "" {
		want, err := platforms.Parse(s.opts.Platform)
		if err != nil {
			return nil, fmt.Errorf("platform %q: %w", s.opts.Platform, err)
		}
		if !platforms.Default().Match(want) {
			return nil, fmt.Errorf("platform %s cannot be built here: this host is %s", s.opts.Platform, platforms.Format(platforms.DefaultSpec()))
		}
	}
	patterns, err := s.excludes()
	if err != nil {
		return nil, err
	}
	local := []llb.LocalOption{llb.WithCustomName("[internal] load build context")}
	if len(patterns) > 0 {
		local = append(local, llb.ExcludePatterns(patterns))
	}
	main := llb.Local(contextName, local...)
	caps := pb.Caps.CapSet(pb.Caps.All())
	platform := s.platform()
	hosts, err := extraHosts(s.opts.ExtraHosts)
	if err != nil {
		return nil, err
	}
	ulimits, err := parseUlimits(s.opts.Ulimits)
	if err != nil {
		return nil, err
	}
	config := dockerui.Config{
		BuildArgs: s.opts.Args, Labels: s.opts.Labels, Target: s.opts.Target,
		ExtraHosts: hosts, Ulimits: ulimits, ShmSize: s.opts.ShmSize,
		BuildPlatforms: []ocispec.Platform{platform}, TargetPlatforms: []ocispec.Platform{platform},
		ImageResolveMode: llb.ResolveModePreferLocal,
	}
	switch s.opts.Network {
	case "", "default":
	case "none":
		config.NetworkMode = pb.NetMode_NONE
	case "host":
		config.NetworkMode = pb.NetMode_HOST
	default:
		return nil, fmt.Errorf("build.network: %q is not supported, use default, none or host", s.opts.Network)
	}
	source := llb.NewSourceMap(nil, s.file, "Dockerfile", s.source)
	result, err := dockerfile2llb.Dockerfile2LLB(ctx, s.source, dockerfile2llb.ConvertOpt{
		Config: config, MainContext: &main, SourceMap: source, TargetPlatform: &platform, MetaResolver: metaResolver{s}, LLBCaps: &caps,
		Warn: func(rule, description, url, message string, location []parser.Range) {
			w := &Warning{Rule: rule, Message: message, Detail: description, URL: url, File: s.file}
			if len(location) > 0 {
				w.Line = location[0].Start.Line
			}
			s.send(Event{Warning: w})
		},
	})
	if err == nil && s.opts.NoCache {
		result.State = result.State.SetMarshalDefaults(llb.IgnoreCache)
	}
	return result, err
}

func extraHosts(list []string) ([]llb.HostIP, error) {
	var out []llb.HostIP
	for _, entry := range list {
		name, address, ok := strings.Cut(entry, "=")
		if !ok {
			name, address, ok = strings.Cut(entry, ":")
		}
		ip := net.ParseIP(strings.Trim(address, "[]"))
		if !ok || ip == nil {
			return nil, fmt.Errorf("build.extra_hosts: %q: write it as name=address", entry)
		}
		out = append(out, llb.HostIP{Host: name, IP: ip})
	}
	return out, nil
}

func parseUlimits(list []string) ([]*pb.Ulimit, error) {
	var out []*pb.Ulimit
	for _, entry := range list {
		name, values, _ := strings.Cut(entry, "=")
		soft, hard, both := strings.Cut(values, ":")
		if !both {
			hard = soft
		}
		s, err1 := strconv.ParseInt(soft, 10, 64)
		h, err2 := strconv.ParseInt(hard, 10, 64)
		if name == "" || err1 != nil || err2 != nil {
			return nil, fmt.Errorf("build.ulimits: %q: write it as name=soft[:hard]", entry)
		}
		out = append(out, &pb.Ulimit{Name: name, Soft: s, Hard: h})
	}
	return out, nil
}

// export makes the image out of the files and the frontend's configuration.
func (s *session) export(ctx context.Context, snap *snapshot, result *dockerfile2llb.Result) (*image.Image, error) {
	t := s.step("exporting to image")
	t.start()
	img, err := s.saveImage(ctx, snap, result)
	t.end(false, err)
	return img, err
}

func (s *session) saveImage(ctx context.Context, snap *snapshot, result *dockerfile2llb.Result) (*image.Image, error) {
	if snap.dir != "" {
		return nil, errors.New("the build gives a directory of this host, which is no image")
	}
	layers := make([]image.Layer, 0, len(snap.layers))
	config := result.Image
	config.RootFS = ocispec.RootFS{Type: "layers"}
	made := time.Time{}
	for _, l := range snap.layers {
		layers = append(layers, l.Layer)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.DiffID)
		if l.Created.After(made) {
			made = l.Created
		}
	}
	// The same steps give the same image: its time is that of its last layer.
	if made.IsZero() {
		made = time.Now().UTC()
	}
	config.Created = &made
	config.History = history(config.History, snap.layers, made)
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	if err := s.flush(); err != nil {
		return nil, err
	}
	if err := s.store.SyncLayers(layers); err != nil {
		return nil, err
	}
	return s.store.CreateRawImage(ctx, raw, layers, s.opts.Tags)
}

// history has one entry that is not empty for each layer: what the frontend
// wrote, with entries for layers of a base image that has no history.
func history(list []ocispec.History, layers []layer, made time.Time) []ocispec.History {
	full := 0
	for _, h := range list {
		if !h.EmptyLayer {
			full++
		}
	}
	out := make([]ocispec.History, 0, len(list)+len(layers))
	for ; full < len(layers); full++ {
		out = append(out, ocispec.History{Comment: "a layer of the base image"})
	}
	for _, h := range list {
		if !h.EmptyLayer && full > len(layers) {
			h.EmptyLayer = true
			full--
		}
		out = append(out, h)
	}
	at := 0
	for i := range out {
		created := made
		if !out[i].EmptyLayer && at < len(layers) {
			if !layers[at].Created.IsZero() {
				created = layers[at].Created
			}
			at++
		}
		if out[i].Created == nil {
			out[i].Created = &created
		}
	}
	return out
}
