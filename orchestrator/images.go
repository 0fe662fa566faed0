package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// ImageOptions say how services come to their images.
type ImageOptions struct {
	NoBuild   bool
	QuietPull bool
	Build     BuildOptions
}

// planImages lays out what must be pulled and built before containers can be
// made: each image once, however many services run it.
func planImages(p *types.Project, obs *Observed, opts ImageOptions) (*Plan, error) {
	plan := &Plan{}
	built := map[string]*Step{} // image -> the step that builds it
	seen := map[string]bool{}
	beside := func(s types.ServiceConfig) error {
		for _, other := range imagesBeside(s) {
			image := imageName(p, other)
			policy, _, err := pullPolicy(other)
			switch missing := obs.Images[image] == ""; {
			case err != nil:
				return fmt.Errorf("service %q: %w", s.Name, err)
			case built[image] != nil, !missing && policy != types.PullPolicyAlways:
			case image == imageName(p, s): // the service's, which has been seen to
			case policy == types.PullPolicyNever:
				return fmt.Errorf("service %q: image %q is not on this host and pull_policy is never; pull it with compose pull, or allow it", s.Name, image)
			default:
				built[image] = plan.add(PullImage{Service: s.Name, Image: image, Platform: other.Platform}, "a hook or a mount of service "+s.Name+" needs it")
			}
		}
		return nil
	}
	var visit func(name string) error
	visit = func(name string) error {
		s := p.Services[name]
		image := imageName(p, s)
		if seen[name] || s.Provider != nil {
			return nil
		}
		seen[name] = true
		policy, after, err := pullPolicy(s)
		if err != nil {
			return fmt.Errorf("service %q: %w", name, err)
		}
		missing := obs.Images[image] == ""
		wantBuild := s.Build != nil && (missing || policy == types.PullPolicyBuild)
		pullFirst := s.Build == nil || s.Image != "" && policy == types.PullPolicyAlways
		switch {
		case built[image] != nil:
		case policy == types.PullPolicyAlways && pullFirst:
			built[image] = plan.add(PullImage{Service: name, Image: image, Platform: s.Platform}, "pull_policy is "+s.PullPolicy)
		case policy == types.PullPolicyRefresh && pullFirst && !missing && time.Since(obs.Tagged[image]) > after:
			built[image] = plan.add(PullImage{Service: name, Image: image, Platform: s.Platform}, "the image is older than "+after.String())
		case wantBuild && opts.NoBuild && missing:
			return fmt.Errorf("service %q: image %q is not on this host, and --no-build forbids to build it", name, image)
		case wantBuild && !opts.NoBuild:
			var after []*Step
			for _, other := range contextServices(s.Build) {
				if _, ok := p.Services[other]; !ok {
					return fmt.Errorf("service %q: build.additional_contexts: no such service: %s", name, other)
				}
				if err := visit(other); err != nil {
					return err
				}
				after = append(after, built[imageName(p, p.Services[other])])
			}
			reason := "not on this host"
			if !missing {
				reason = "a build was asked for"
			}
			built[image] = plan.add(BuildImage{Service: s, Image: image}, reason, after...)
		case missing && policy == types.PullPolicyNever:
			return fmt.Errorf("service %q: image %q is not on this host and pull_policy is never; pull it with compose pull, or allow it", name, image)
		case missing:
			built[image] = plan.add(PullImage{Service: name, Image: image, Platform: s.Platform}, "not on this host")
		}
		return beside(s)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	return plan, nil
}

// imagesBeside are services of the images that a service needs beside its own:
// those of its hooks and of its mounts.
func imagesBeside(s types.ServiceConfig) []types.ServiceConfig {
	var out []types.ServiceConfig
	for _, h := range s.PreStart {
		out = append(out, hookService(s, h))
	}
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeImage {
			out = append(out, types.ServiceConfig{Name: s.Name, ContainerSpec: types.ContainerSpec{Image: v.Source, Platform: s.Platform}})
		}
	}
	return out
}

// pullPolicy is when a service's image is to be pulled; with the policy
// refresh, how old it may get.
func pullPolicy(s types.ServiceConfig) (policy string, after time.Duration, err error) {
	policy, after, err = s.GetPullPolicy()
	if err != nil || policy != types.PullPolicyRefresh || s.PullRefreshAfter == "" {
		return policy, after, err
	}
	var every types.ServiceConfig
	every.PullPolicy = "every_" + s.PullRefreshAfter
	if _, after, err = every.GetPullPolicy(); err != nil {
		return "", 0, fmt.Errorf("pull_refresh_after: %q is no duration, as 12h and 3d are", s.PullRefreshAfter)
	}
	return policy, after, nil
}

// contextServices are the services whose images a build takes files from.
func contextServices(b *types.BuildConfig) []string {
	var out []string
	for _, ctx := range b.AdditionalContexts {
		if name, ok := strings.CutPrefix(ctx, types.ServicePrefix); ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// provide pulls or builds an image.
func (o *operator) provide(ctx context.Context, op Operation) error {
	switch op := op.(type) {
	case PullImage:
		return o.pullImage(ctx, op)
	case BuildImage:
		id := "Image " + op.Image
		o.report.send(id, Working, "Building", "")
		opts := o.imageOptions.Build
		opts.Progress = serviceProgress(op.Service.Name, o.buildProgress)
		if err := o.host.BuildImage(ctx, o.project, op.Service, opts); err != nil {
			o.report.send(id, Failed, "Error", "")
			return fmt.Errorf("target %s: failed to solve: %w", op.Service.Name, err)
		}
		o.report.send(id, Done, "Built", "")
	}
	return nil
}

func (o *operator) pullImage(ctx context.Context, op PullImage) error {
	id := "Image " + op.Image
	o.report.send(id, Working, "Pulling", "")
	progress := o.report
	if o.imageOptions.QuietPull {
		progress = nil
	}
	err := o.host.PullImage(ctx, op.Image, op.Platform, progress)
	if err == nil {
		o.report.send(id, Done, "Pulled", "")
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	s := o.project.Services[op.Service]
	if have := o.images[op.Image]; have == "" && s.Build != nil && imageName(o.project, s) == op.Image && !o.imageOptions.NoBuild {
		o.report.send(id, Warning, "Warning", "pull failed, it is built: "+err.Error())
		return o.provide(ctx, BuildImage{Service: s, Image: op.Image})
	}
	o.report.send(id, Failed, "Error", err.Error())
	return err
}
