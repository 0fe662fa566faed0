package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"compose/engine/build"
	"compose/engine/image"
)

// parallelBuilds is how many images are built at once; each has parallel
// stages of its own.
const parallelBuilds = 2

// BuildImage builds a service's image under its name and further tags.
func (h *engineHost) BuildImage(ctx context.Context, p *types.Project, s types.ServiceConfig, opts BuildOptions) error {
	o, err := buildOptions(p, s, opts)
	if err != nil {
		return err
	}
	_, err = h.engine.Builder().Build(ctx, o)
	return err
}

func buildOptions(p *types.Project, s types.ServiceConfig, opts BuildOptions) (build.Options, error) {
	b := s.Build
	o := build.Options{
		Context: b.Context, Dockerfile: b.Dockerfile, Target: b.Target, Tags: append([]string{imageName(p, s)}, b.Tags...),
		NoCache: b.NoCache || opts.NoCache, NoCacheFilter: b.NoCacheFilter, Pull: b.Pull || opts.Pull,
		ShmSize: int64(b.ShmSize), Network: b.Network, Privileged: b.Privileged, Progress: opts.Progress,
		Labels: map[string]string{LabelProject: p.Name, LabelService: s.Name}, Args: map[string]string{},
	}
	if !build.IsRemote(o.Context) && !filepath.IsAbs(o.Context) {
		o.Context = filepath.Join(p.WorkingDir, o.Context)
	}
	if b.DockerfileInline != "" {
		o.Inline = []byte(b.DockerfileInline)
	}
	for name, where := range b.AdditionalContexts {
		if service, ok := strings.CutPrefix(where, types.ServicePrefix); ok {
			// Built before: the plan has seen to that.
			where = "docker-image://" + imageName(p, p.Services[service])
		} else if !strings.Contains(where, "://") && !build.IsRemote(where) && !filepath.IsAbs(where) {
			where = filepath.Join(p.WorkingDir, where)
		}
		if o.Contexts == nil {
			o.Contexts = map[string]string{}
		}
		o.Contexts[name] = where
	}
	for _, e := range b.Entitlements {
		switch e {
		case "security.insecure":
			o.Privileged = true
		case "network.host":
		default:
			return o, fmt.Errorf("build.entitlements: %q is not known; there are security.insecure and network.host", e)
		}
	}
	var err error
	if o.CacheFrom, err = cacheRefs(p, "cache_from", b.CacheFrom, false); err != nil {
		return o, err
	}
	if o.CacheTo, err = cacheRefs(p, "cache_to", b.CacheTo, true); err != nil {
		return o, err
	}
	if b.Isolation != "" && b.Isolation != "default" {
		return o, fmt.Errorf("build.isolation: %q is not supported on Linux; leave it out", b.Isolation)
	}
	for k, v := range b.Labels {
		o.Labels[k] = v
	}
	for _, args := range []types.MappingWithEquals{b.Args, opts.Args} {
		for k, v := range args {
			if v != nil {
				o.Args[k] = *v
			} else if own, ok := p.Environment[k]; ok {
				o.Args[k] = own
			}
		}
	}
	build.InheritEpoch(o.Args, func(name string) string { return p.Environment[name] })
	for name, addresses := range b.ExtraHosts {
		for _, a := range addresses {
			o.ExtraHosts = append(o.ExtraHosts, name+"="+a)
		}
	}
	slices.Sort(o.ExtraHosts)
	for name, u := range b.Ulimits {
		soft, hard := u.Soft, u.Hard
		if u.Single != 0 {
			soft, hard = u.Single, u.Single
		}
		o.Ulimits = append(o.Ulimits, name+"="+strconv.Itoa(soft)+":"+strconv.Itoa(hard))
	}
	slices.Sort(o.Ulimits)
	switch {
	case len(b.Platforms) > 1:
		return o, errors.New("build.platforms: one platform, that of this host, can be built")
	case len(b.Platforms) == 1:
		o.Platform = b.Platforms[0]
	default:
		o.Platform = s.Platform
	}
	if err := buildSecrets(p, b, &o); err != nil {
		return o, err
	}
	for _, key := range b.SSH {
		if o.SSH == nil {
			o.SSH = map[string]string{}
		}
		path := key.Path
		if path == "" {
			path = p.Environment["SSH_AUTH_SOCK"]
		}
		o.SSH[key.ID] = path
	}
	for id, socket := range opts.SSH {
		if o.SSH == nil {
			o.SSH = map[string]string{}
		}
		o.SSH[id] = socket
	}
	o.CheckOnly = opts.Check
	return o, nil
}

// cacheRefs reads a list of caches; their directories are the project's.
func cacheRefs(p *types.Project, field string, list []string, to bool) ([]build.CacheRef, error) {
	var out []build.CacheRef
	for _, text := range list {
		ref, err := build.ParseCacheRef(text, to)
		if err != nil {
			return nil, fmt.Errorf("build.%s: %w", field, err)
		}
		if ref.Dir != "" && !filepath.IsAbs(ref.Dir) {
			ref.Dir = filepath.Join(p.WorkingDir, ref.Dir)
		}
		out = append(out, ref)
	}
	return out, nil
}

func buildSecrets(p *types.Project, b *types.BuildConfig, o *build.Options) error {
	for _, ref := range b.Secrets {
		s, ok := p.Secrets[ref.Source]
		if !ok {
			return fmt.Errorf("build.secrets: undefined secret %q", ref.Source)
		}
		id := ref.Target
		if id == "" {
			id = ref.Source
		}
		if o.Secrets == nil {
			o.Secrets = map[string]build.Secret{}
		}
		switch {
		case s.File != "":
			o.Secrets[id] = build.Secret{File: s.File}
		case s.Environment != "":
			o.Secrets[id] = build.Secret{Data: []byte(p.Environment[s.Environment])}
		default:
			o.Secrets[id] = build.Secret{Data: []byte(s.Content)}
		}
	}
	return nil
}

// Build builds the images of the services that say how, each image once, and
// those whose images they take files from before them.
func (o *Orchestrator) Build(ctx context.Context, p *types.Project, services []string, opts BuildOptions) error {
	group, ctx := errgroup.WithContext(ctx)
	slots := make(chan struct{}, parallelBuilds)
	built := map[string]chan struct{}{} // by image, closed when it is there
	plan, planned := &Plan{}, map[string]*Step{}
	var begin func(name string, path []string) error
	begin = func(name string, path []string) error {
		s := p.Services[name]
		id := imageName(p, s)
		if slices.Contains(path, name) {
			return fmt.Errorf("service %q: build.additional_contexts: the services need each other: %s", name, strings.Join(append(path, name), " -> "))
		}
		if s.Build == nil || built[id] != nil {
			return nil
		}
		done := make(chan struct{})
		var before []chan struct{}
		for _, other := range contextServices(s.Build) {
			if _, ok := p.Services[other]; !ok {
				return fmt.Errorf("service %q: build.additional_contexts: no such service: %s", name, other)
			}
			if err := begin(other, append(path, name)); err != nil {
				return err
			}
			if c := built[imageName(p, p.Services[other])]; c != nil {
				before = append(before, c)
			}
		}
		built[id] = done
		if o.DryRun != nil {
			var after []*Step
			for _, other := range contextServices(s.Build) {
				after = append(after, planned[imageName(p, p.Services[other])])
			}
			planned[id] = plan.add(BuildImage{Service: s, Image: id}, "a build was asked for", after...)
			return nil
		}
		group.Go(func() error {
			for _, c := range before {
				select {
				case <-c:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := o.buildOne(ctx, p, s, opts); err != nil {
				return err
			}
			close(done)
			return nil
		})
		return nil
	}
	for _, name := range sortedServices(p, services) {
		if err := begin(name, nil); err != nil {
			return errors.Join(err, group.Wait())
		}
	}
	if o.DryRun != nil {
		return plan.Print(o.DryRun)
	}
	return group.Wait()
}

func (o *Orchestrator) buildOne(ctx context.Context, p *types.Project, s types.ServiceConfig, opts BuildOptions) error {
	id := imageName(p, s)
	opts.Progress = serviceProgress(s.Name, o.BuildProgress)
	o.Report.send("Image "+id, Working, "Building", "")
	if err := o.Host.BuildImage(ctx, p, s, opts); err != nil {
		o.Report.send("Image "+id, Failed, "Error", "")
		return fmt.Errorf("target %s: failed to solve: %w", s.Name, err)
	}
	o.Report.send("Image "+id, Done, "Built", "")
	return nil
}

// serviceProgress says in the name of each step which service it is for.
func serviceProgress(service string, to func(build.Event)) func(build.Event) {
	if to == nil {
		return nil
	}
	return func(e build.Event) {
		if rest, ok := strings.CutPrefix(e.Name, "["); ok {
			e.Name = "[" + service + " " + rest
		} else {
			e.Name = "[" + service + "] " + e.Name
		}
		e.Vertex = digest.FromString(service + " " + e.Vertex.String())
		to(e)
	}
}

func sortedServices(p *types.Project, wanted []string) []string {
	if len(wanted) == 0 {
		wanted = p.ServiceNames()
	}
	sorted := slices.Clone(wanted)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// Image is what a container's image is, for `images`.
func (h *engineHost) Image(ctx context.Context, id string) (*image.Image, error) {
	return h.engine.Images().Get(ctx, id)
}

// DanglingImages are the IDs of a project's images that have lost their names.
func (h *engineHost) DanglingImages(ctx context.Context, project string) ([]string, error) {
	list, err := h.engine.Images().List(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, img := range list {
		if len(img.RepoTags) == 0 && img.Config.Config.Labels[LabelProject] == project {
			ids = append(ids, img.ID)
		}
	}
	return ids, nil
}

// PIDs are the processes of a container, for `top`.
func (h *engineHost) PIDs(ctx context.Context, id string) ([]int, error) {
	c, err := h.engine.Container(ctx, id)
	if err != nil {
		return nil, err
	}
	return h.engine.PIDs(c)
}
