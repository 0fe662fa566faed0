package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// DownOptions say what `down` takes away.
type DownOptions struct {
	Services      []string // none: all, and the networks too
	RemoveOrphans bool
	Timeout       *time.Duration
	Volumes       bool
	Images        string // "", "local" (those without a name of their own) or "all"
}

// Down stops and removes what a project has. Without a file (p is nil)
// everything that carries the project's label goes.
func (o *Orchestrator) Down(ctx context.Context, name string, p *types.Project, opts DownOptions) error {
	lock, err := o.lock(name)
	if err != nil {
		return err
	}
	defer lock.unlock()

	var obs *Observed
	if p != nil {
		// Also networks that only services of other profiles use.
		obs, err = observe(ctx, o.Host, p)
		if err == nil {
			err = obs.addNetworks(ctx, o.Host)
		}
	} else {
		obs, err = observeLabels(ctx, o.Host, name)
	}
	if err != nil {
		return err
	}
	for _, s := range opts.Services {
		if p != nil && !hasService(p, s) {
			return NoSuchServiceError(s)
		}
	}
	plan := planDown(p, obs, opts)
	if plan.Empty() {
		if len(opts.Services) == 0 {
			o.warn(fmt.Sprintf("No resource found to remove for project %q.", name))
			return o.forget(ctx, name)
		}
		return nil
	}
	op := newOperator(o.Host, o.Roots, name, p, obs)
	if err := o.run(ctx, op, lock, plan); err != nil {
		return err
	}
	return o.forget(ctx, name)
}

// forget removes the directory of a project that has no containers any more.
func (o *Orchestrator) forget(ctx context.Context, name string) error {
	if o.DryRun != nil {
		return nil
	}
	left, err := o.Host.Containers(ctx, name)
	if err != nil || len(left) > 0 {
		return err
	}
	return os.RemoveAll(o.Roots.Project(name))
}

func hasService(p *types.Project, name string) bool {
	_, enabled := p.Services[name]
	_, disabled := p.DisabledServices[name]
	return enabled || disabled
}

// NoSuchServiceError names a service that the file does not have.
type NoSuchServiceError string

func (e NoSuchServiceError) Error() string { return "no such service: " + string(e) }

func planDown(p *types.Project, obs *Observed, opts DownOptions) *Plan {
	plan := &Plan{}
	dependents := dependentsOf(p, obs)
	doomed := doomedContainers(p, obs, opts)

	stops := map[string][]*Step{} // service -> the steps that stop its containers
	var removals []*Step
	var off, beside []*Step // those that take containers off their networks, and what is left of removals then
	done := map[string]bool{}
	var visit func(service string)
	visit = func(service string) {
		if done[service] {
			return
		}
		done[service] = true
		var after []*Step
		for _, d := range dependents[service] {
			visit(d)
			after = append(after, stops[d]...)
		}
		for _, c := range doomed {
			if c.Service != service {
				continue
			}
			remove := RemoveContainer{Instance: c.instance(), Volumes: opts.Volumes}
			if !c.Running() {
				// One whose start has failed may hold a network until it is removed.
				removal := plan.add(remove, "", after...)
				removals, off = append(removals, removal), append(off, removal)
				continue
			}
			stop := plan.add(StopContainer{Instance: c.instance(), Timeout: opts.Timeout, Removal: true}, "", after...)
			stops[service], off = append(stops[service], stop), append(off, stop)
			removal := plan.add(remove, "", stop)
			removals, beside = append(removals, removal), append(beside, removal)
		}
		if len(stops[service]) == 0 {
			stops[service] = after // what stops before us stops before those we depend on
		}
	}
	for _, c := range doomed {
		visit(c.Service)
	}
	planProviders(plan, p, "down", opts.Services, removals)
	if len(opts.Services) > 0 {
		return plan
	}
	for _, n := range slices.Sorted(maps.Keys(obs.Networks)) {
		if obs.Networks[n].Labels[LabelProject] == obs.Project && !isExternalNetwork(p, n) {
			// The kernel takes its time over a bridge, with hardly any work.
			plan.add(RemoveNetwork{Name: n, KeepInUse: true}, "", off...).Beside = beside
		}
	}
	if opts.Volumes {
		for _, v := range slices.Sorted(maps.Keys(obs.Volumes)) {
			if obs.Volumes[v].Labels[LabelProject] == obs.Project && !isExternalVolume(p, v) {
				plan.add(RemoveVolume{Name: v}, "", removals...)
			}
		}
	}
	for _, image := range imagesToRemove(p, obs, opts.Images) {
		plan.add(RemoveImage{Image: image}, "", removals...)
	}
	return plan
}

// doomedContainers are those that go: of the services asked for or, where
// none is, of all in the file, and orphans if told so. Without a file all.
func doomedContainers(p *types.Project, obs *Observed, opts DownOptions) []*Container {
	var out []*Container
	for _, c := range obs.Containers {
		switch {
		case len(opts.Services) > 0 && !slices.Contains(opts.Services, c.Service):
		case c.OneOff && !opts.RemoveOrphans && c.Label(LabelHook) == "":
		case p != nil && !hasService(p, c.Service) && !opts.RemoveOrphans:
		default:
			out = append(out, c)
		}
	}
	return out
}

// dependentsOf maps each service to those that depend on it: as the file says
// or, without one, as the containers' labels do.
func dependentsOf(p *types.Project, obs *Observed) map[string][]string {
	deps := map[string][]string{}
	for name, s := range projectFromLabels(obs.Project, obs.Containers).Services {
		deps[name] = slices.Sorted(maps.Keys(s.DependsOn))
	}
	if p != nil {
		for name, s := range p.AllServices() {
			deps[name] = slices.Sorted(maps.Keys(s.DependsOn))
		}
	}
	out := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(deps)) {
		for _, dep := range deps[name] {
			out[dep] = append(out[dep], name)
		}
	}
	return out
}

func isExternalNetwork(p *types.Project, name string) bool {
	if p == nil {
		return false
	}
	for _, n := range p.Networks {
		if n.Name == name {
			return bool(n.External)
		}
	}
	return false
}

func isExternalVolume(p *types.Project, name string) bool {
	if p == nil {
		return false
	}
	for _, v := range p.Volumes {
		if v.Name == name {
			return bool(v.External)
		}
	}
	return false
}

func imagesToRemove(p *types.Project, obs *Observed, which string) []string {
	var out []string
	switch {
	case which == "":
	case p != nil:
		for _, s := range p.AllServices() {
			if image := imageName(p, s); obs.Images[image] != "" && (which == "all" || s.Build != nil && s.Image == "") {
				out = append(out, image)
			}
		}
	default:
		for _, c := range obs.Containers {
			if local := c.Spec.Image == obs.Project+"-"+c.Service || c.Spec.Image == obs.Project+"_"+c.Service; local || which == "all" {
				out = append(out, c.Spec.Image)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
