package orchestrator

import (
	"context"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sync/errgroup"
)

// PullOptions say what Pull does beyond pulling.
type PullOptions struct {
	IgnoreFailures  bool
	IgnoreBuildable bool
	Missing         bool // only what this host does not have
	Always          bool // also what a service's pull_policy says to take from this host
	Quiet           bool
}

// Pull pulls the images of the services.
func (o *Orchestrator) Pull(ctx context.Context, p *types.Project, services []string, opts PullOptions) error {
	group, ctx := errgroup.WithContext(ctx)
	done := map[string]bool{}
	plan := &Plan{}
	for _, name := range sortedServices(p, services) {
		s := p.Services[name]
		ref := imageName(p, s)
		if s.Image == "" || s.Build != nil && opts.IgnoreBuildable || done[ref] || s.PullPolicy == types.PullPolicyNever && !opts.Always && !opts.Missing {
			continue
		}
		done[ref] = true
		unlessThere := opts.Missing || !opts.Always && (s.PullPolicy == types.PullPolicyMissing || s.PullPolicy == types.PullPolicyIfNotPresent)
		if o.DryRun != nil {
			reason := "a pull was asked for"
			if unlessThere {
				reason = "unless it is on this host"
			}
			plan.add(PullImage{Service: name, Image: ref, Platform: s.Platform}, reason)
			continue
		}
		group.Go(func() error {
			if unlessThere {
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
	if o.DryRun != nil {
		return plan.Print(o.DryRun)
	}
	return group.Wait()
}

// PushOptions say what Push does beyond pushing.
type PushOptions struct {
	IgnoreFailures bool
	Quiet          bool
}

// Push pushes the images that services are built as, by all their names.
func (o *Orchestrator) Push(ctx context.Context, p *types.Project, services []string, opts PushOptions) error {
	group, ctx := errgroup.WithContext(ctx)
	var done []string
	plan := &Plan{}
	for _, name := range sortedServices(p, services) {
		s := p.Services[name]
		if s.Build == nil || s.Image == "" {
			o.Report.send(name, Done, "Skipped", "")
			continue
		}
		for _, ref := range append([]string{s.Image}, s.Build.Tags...) {
			if slices.Contains(done, ref) {
				continue
			}
			done = append(done, ref)
			if o.DryRun != nil {
				plan.add(PushImage{Image: ref}, "")
				continue
			}
			group.Go(func() error { return o.pushOne(ctx, ref, opts) })
		}
	}
	if o.DryRun != nil {
		return plan.Print(o.DryRun)
	}
	return group.Wait()
}

func (o *Orchestrator) pushOne(ctx context.Context, ref string, opts PushOptions) error {
	id, progress := "Image "+ref, o.Report
	if opts.Quiet {
		progress = nil
	}
	o.Report.send(id, Working, "Pushing", "")
	err := o.Host.PushImage(ctx, ref, progress)
	switch {
	case err == nil:
		o.Report.send(id, Done, "Pushed", "")
		return nil
	case opts.IgnoreFailures:
		o.Report.send(id, Warning, "Warning", err.Error())
		return nil
	}
	o.Report.send(id, Failed, "Error", err.Error())
	return err
}
