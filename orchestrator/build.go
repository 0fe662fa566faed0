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
	if strings.Contains(b.Context, "://") || strings.HasPrefix(b.Context, "git@") {
		return o, fmt.Errorf("build.context: %s: remote contexts are not supported yet; clone it and name the directory", b.Context)
	}
	if !filepath.IsAbs(o.Context) {
		o.Context = filepath.Join(p.WorkingDir, o.Context)
	}
	if b.DockerfileInline != "" {
		o.Inline = []byte(b.DockerfileInline)
	}
	if len(b.AdditionalContexts) > 0 {
		return o, errors.New("build.additional_contexts is not supported yet; copy the files into the build context")
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
	return o, nil
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

// Build builds the images of the services that say how, each image once.
func (o *Orchestrator) Build(ctx context.Context, p *types.Project, services []string, opts BuildOptions) error {
	opts.Progress = o.BuildProgress
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelBuilds)
	done := map[string]bool{}
	for _, name := range sortedServices(p, services) {
		s := p.Services[name]
		id := imageName(p, s)
		if s.Build == nil || done[id] {
			continue
		}
		done[id] = true
		group.Go(func() error {
			o.Report.send("Image "+id, Working, "Building", "")
			if err := o.Host.BuildImage(ctx, p, s, opts); err != nil {
				o.Report.send("Image "+id, Failed, "Error", "")
				return fmt.Errorf("failed to build service %s: %w", name, err)
			}
			o.Report.send("Image "+id, Done, "Built", "")
			return nil
		})
	}
	return group.Wait()
}

// PullOptions say what Pull does beyond pulling.
type PullOptions struct {
	IgnoreFailures  bool
	IgnoreBuildable bool
	Missing         bool // only what this host does not have
	Quiet           bool
}

// Pull pulls the images of the services.
func (o *Orchestrator) Pull(ctx context.Context, p *types.Project, services []string, opts PullOptions) error {
	group, ctx := errgroup.WithContext(ctx)
	done := map[string]bool{}
	for _, name := range sortedServices(p, services) {
		s := p.Services[name]
		ref := imageName(p, s)
		if s.Image == "" || s.Build != nil && opts.IgnoreBuildable || done[ref] || s.PullPolicy == types.PullPolicyNever {
			continue
		}
		done[ref] = true
		group.Go(func() error {
			if opts.Missing || s.PullPolicy == types.PullPolicyMissing || s.PullPolicy == types.PullPolicyIfNotPresent {
				if id, err := o.Host.ImageID(ctx, ref); err != nil || id != "" {
					return err
				}
			}
			progress := o.Report
			if opts.Quiet {
				progress = nil
			}
			o.Report.send("Image "+ref, Working, "Pulling", "")
			err := o.Host.PullImage(ctx, ref, s.Platform, progress)
			switch {
			case err == nil:
				o.Report.send("Image "+ref, Done, "Pulled", "")
				return nil
			case opts.IgnoreFailures || s.Build != nil:
				o.Report.send("Image "+ref, Warning, "Warning", err.Error())
				return nil
			}
			o.Report.send("Image "+ref, Failed, "Error", err.Error())
			return err
		})
	}
	return group.Wait()
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

// PIDs are the processes of a container, for `top`.
func (h *engineHost) PIDs(ctx context.Context, id string) ([]int, error) {
	c, err := h.engine.Container(ctx, id)
	if err != nil {
		return nil, err
	}
	return h.engine.PIDs(c)
}
