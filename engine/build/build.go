package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
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
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"compose/engine/image"
	"compose/internal/lateinit"
)

// Build makes an image; with CheckOnly there is none. A step that fails gives a
// *StepError.
func (b *Builder) Build(ctx context.Context, opts Options) (img *image.Image, err error) {
	err = b.read(ctx, opts, func(s *session, convert dockerfile2llb.ConvertOpt) error {
		img, err = s.build(ctx, convert)
		return err
	})
	return img, err
}

// read reads the Dockerfile and hands over what BuildKit's frontend makes of
// such a file with.
func (b *Builder) read(ctx context.Context, opts Options, use func(*session, dockerfile2llb.ConvertOpt) error) (err error) {
	lateinit.Run(lateinit.Builds)
	release, err := b.store.Use()
	if err != nil {
		return err
	}
	defer release()
	s, err := b.newSession(ctx, opts)
	if err != nil {
		return err
	}
	s.steps = b.runner.Begin()
	defer func() { err = errors.Join(err, s.close(), s.steps.End()) }()
	frontend, err := s.newFrontend()
	if err != nil {
		return err
	}
	source, err := frontend.ReadEntrypoint(ctx, "Dockerfile")
	if err != nil {
		return err
	}
	s.file, s.source = source.Filename, source.Data
	convert, err := s.convertOptions(frontend, source.SourceMap)
	if err != nil {
		return located(err, s.file, s.source)
	}
	return use(s, convert)
}

func (s *session) build(ctx context.Context, convert dockerfile2llb.ConvertOpt) (*image.Image, error) {
	convert.AllStages = s.opts.CheckOnly && s.opts.Target == ""
	result, err := s.convert(ctx, convert)
	if err != nil {
		return nil, located(err, s.file, s.source)
	}
	if s.opts.CheckOnly {
		return nil, nil
	}
	def, err := result.State.Marshal(ctx, llb.Platform(s.platform()))
	if err != nil {
		return nil, located(err, s.file, s.source)
	}
	s.importCaches(ctx)
	snap, err := s.solveAll(ctx, def.ToPB())
	if err != nil {
		return nil, err
	}
	img, err := s.export(ctx, snap, result)
	if err != nil {
		return nil, err
	}
	return img, s.exportCaches(ctx, snap)
}

// solveAll works the whole graph out and has the layers of its result here.
func (s *session) solveAll(ctx context.Context, def *pb.Definition) (*snapshot, error) {
	for {
		last, err := s.load(def)
		if err != nil {
			return nil, err
		}
		s.foresee(last)
		snap, err := s.solve(s.ctx, last)
		if err == nil {
			_, err = s.lowers(snap)
		}
		var lost *lostLayerError
		if !errors.As(err, &lost) {
			return snap, err
		}
		// A step that was not run, as its result was known, has to run after
		// all: nobody has kept its files. The others are remembered by now.
		s.again(ctx)
	}
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

// convertOptions are the build's options in the words of BuildKit's frontend.
func (s *session) convertOptions(frontend *dockerui.Client, source *llb.SourceMap) (opt dockerfile2llb.ConvertOpt, err error) {
	if s.opts.Platform != "" {
		want, err := platforms.Parse(s.opts.Platform)
		if err != nil {
			return opt, fmt.Errorf("platform %q: %w", s.opts.Platform, err)
		}
		if !platforms.Default().Match(want) {
			return opt, fmt.Errorf("platform %s cannot be built here: this host is %s", s.opts.Platform, platforms.Format(platforms.DefaultSpec()))
		}
	}
	caps := pb.Caps.CapSet(pb.Caps.All())
	platform := s.platform()
	hosts, err := extraHosts(s.opts.ExtraHosts)
	if err != nil {
		return opt, err
	}
	ulimits, err := parseUlimits(s.opts.Ulimits)
	if err != nil {
		return opt, err
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
		return opt, fmt.Errorf("build.network: %q is not supported, use default, none or host", s.opts.Network)
	}
	return dockerfile2llb.ConvertOpt{
		Config: config, Client: frontend, SourceMap: source, TargetPlatform: &platform, MetaResolver: metaResolver{s}, LLBCaps: &caps,
		Warn: func(rule, description, url, message string, location []parser.Range) {
			w := &Warning{Rule: rule, Message: message, Detail: description, URL: url, File: s.file}
			if len(location) > 0 {
				w.Line = location[0].Start.Line
			}
			s.send(Event{Warning: w})
		},
	}, nil
}

// convert has BuildKit's frontend turn the Dockerfile into a graph.
func (s *session) convert(ctx context.Context, opt dockerfile2llb.ConvertOpt) (*dockerfile2llb.Result, error) {
	result, err := dockerfile2llb.Dockerfile2LLB(ctx, s.source, opt)
	if err == nil {
		s.epoch = result.Epoch
	}
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
	if err == nil {
		t.status(Status{ID: "exporting layers", Text: "done", Done: true})
		t.status(Status{ID: "writing image " + img.ID, Text: "done", Done: true})
		for _, tag := range s.opts.Tags {
			if ref, err := image.ParseReference(tag); err == nil {
				t.status(Status{ID: "naming to " + ref.String(), Text: "done", Done: true})
			}
		}
	}
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
	// With an epoch it is that: a layer may be known from a build without one.
	if made.IsZero() || s.epoch != nil {
		made = s.created()
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
			if t := layers[at].Created; !t.IsZero() && t.Before(made) {
				created = t
			}
			at++
		}
		if out[i].Created == nil {
			out[i].Created = &created
		}
	}
	return out
}
