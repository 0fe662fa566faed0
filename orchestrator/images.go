package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	var visit func(name string) error
	visit = func(name string) error {
		s := p.Services[name]
		image := imageName(p, s)
		if seen[name] {
			return nil
		}
		seen[name] = true
		policy, _, err := s.GetPullPolicy()
		if err != nil {
			return fmt.Errorf("service %q: %w", name, err)
		}
		missing := obs.Images[image] == ""
		wantBuild := s.Build != nil && (missing || policy == types.PullPolicyBuild)
		pullFirst := s.Build == nil || s.Image != "" && policy == types.PullPolicyAlways
		switch {
		case built[image] != nil:
		case policy == types.PullPolicyAlways && pullFirst, policy == types.PullPolicyRefresh && pullFirst:
			built[image] = plan.add(PullImage{Service: name, Image: image, Platform: s.Platform}, "pull_policy is "+s.PullPolicy)
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
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	return plan, nil
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
		opts.Progress = o.buildProgress
		if err := o.host.BuildImage(ctx, o.project, op.Service, opts); err != nil {
			o.report.send(id, Failed, "Error", "")
			return fmt.Errorf("failed to build service %s: %w", op.Service.Name, err)
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
	if have := o.images[op.Image]; have == "" && s.Build != nil && !o.imageOptions.NoBuild {
		o.report.send(id, Warning, "Warning", "pull failed, it is built: "+err.Error())
		return o.provide(ctx, BuildImage{Service: s, Image: op.Image})
	}
	o.report.send(id, Failed, "Error", err.Error())
	return err
}
