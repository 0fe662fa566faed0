package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
)

// ErrNothing says that no container is concerned.
var ErrNothing = errors.New("no container found")

// Selection names the containers that a verb is about.
type Selection struct {
	Name     string         // of the project
	Project  *types.Project // nil where there is no file
	Services []string       // none: all
}

// pick reads the selected containers; one-off ones only if they are wanted.
func (o *Orchestrator) pick(ctx context.Context, sel Selection, oneOff bool) ([]*Container, error) {
	for _, s := range sel.Services {
		if sel.Project != nil && !hasService(sel.Project, s) {
			return nil, NoSuchServiceError(s)
		}
	}
	all, err := observeContainers(ctx, o.Host, sel.Name)
	if err != nil {
		return nil, err
	}
	var out []*Container
	for _, c := range all {
		switch {
		case c.OneOff && !oneOff:
		case len(sel.Services) > 0 && !slices.Contains(sel.Services, c.Service):
		case len(sel.Services) == 0 && sel.Project != nil && !hasService(sel.Project, c.Service):
		default:
			out = append(out, c)
		}
	}
	return out, nil
}

// change locks the project, picks containers, plans and carries the plan out.
// No plan means that there is nothing to do.
func (o *Orchestrator) change(ctx context.Context, sel Selection, oneOff bool, plan func([]*Container) (*Plan, error)) error {
	lock, err := o.lock(sel.Name)
	if err != nil {
		return err
	}
	defer lock.unlock()
	picked, err := o.pick(ctx, sel, oneOff)
	if err != nil {
		return err
	}
	todo, err := plan(picked)
	if todo == nil || err != nil {
		return err
	}
	op := newOperator(o.Host, o.Roots, sel.Name, sel.Project, &Observed{Project: sel.Name, Containers: picked})
	return o.run(ctx, op, lock, todo)
}

// StartOptions say what `start` does.
type StartOptions struct {
	Wait bool
}

// Start starts containers that exist, and those that they depend on first.
func (o *Orchestrator) Start(ctx context.Context, sel Selection, opts StartOptions) error {
	sel.Services = withDependencies(sel.Project, sel.Services)
	return o.change(ctx, sel, false, func(picked []*Container) (*Plan, error) {
		p := sel.Project
		if p == nil {
			if len(picked) == 0 {
				return nil, fmt.Errorf("no container found for project %q: not found", sel.Name)
			}
			p = projectFromLabels(sel.Name, picked)
		}
		obs := &Observed{Project: sel.Name, Containers: picked}
		r := newReconciler(p, obs, nil, ReconcileOptions{})
		order := dependencyOrder(p)
		for _, name := range order {
			steps := &serviceSteps{}
			for _, c := range obs.ofService(name) {
				steps.targets = append(steps.targets, &target{inst: c.instance(), observed: c})
			}
			r.services[name] = steps
			asked := len(sel.Services) == 0 || slices.Contains(sel.Services, name)
			if s := p.Services[name]; len(steps.targets) == 0 && asked && s.GetScale() > 0 {
				return nil, fmt.Errorf("service %q has no container to start", name)
			}
		}
		for _, name := range order {
			r.planStart(p.Services[name])
		}
		if opts.Wait {
			for _, name := range order {
				r.planFinalWait(p.Services[name])
			}
		}
		return r.plan, checkPorts(o.Host, r.plan, obs)
	})
}

// withDependencies is the services and all that they depend on.
func withDependencies(p *types.Project, services []string) []string {
	if p == nil {
		return services
	}
	all := slices.Clone(services)
	for i := 0; i < len(all); i++ {
		for _, dep := range slices.Sorted(maps.Keys(p.Services[all[i]].DependsOn)) {
			if _, enabled := p.Services[dep]; enabled && !slices.Contains(all, dep) {
				all = append(all, dep)
			}
		}
	}
	return all
}

// Stop stops containers, dependents before what they depend on.
func (o *Orchestrator) Stop(ctx context.Context, sel Selection, timeout *time.Duration) error {
	return o.change(ctx, sel, false, func(picked []*Container) (*Plan, error) {
		return planStop(sel, picked, timeout), nil
	})
}

func planStop(sel Selection, picked []*Container, timeout *time.Duration) *Plan {
	plan := &Plan{}
	dependents := dependentsOf(sel.Project, &Observed{Containers: picked})
	stops := map[string][]*Step{}
	done := map[string]bool{}
	var visit func(string)
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
		for _, c := range picked {
			if c.Service == service && c.Running() {
				stops[service] = append(stops[service], plan.add(StopContainer{Instance: c.instance(), Timeout: timeout}, "", after...))
			}
		}
		if len(stops[service]) == 0 {
			stops[service] = after
		}
	}
	for _, c := range picked {
		visit(c.Service)
	}
	planProviders(plan, sel.Project, "stop", sel.Services, slices.Clone(plan.Steps))
	return plan
}

// Restart stops and starts containers: one that asked to be restarted with what
// it depends on, or that shares a namespace of another, after that; unless noDeps
// is set also those of services that were not named and asked for it.
func (o *Orchestrator) Restart(ctx context.Context, sel Selection, timeout *time.Duration, noDeps bool) error {
	chosen := sel
	if len(sel.Services) > 0 && sel.Project != nil && !noDeps {
		chosen.Services = withRestartDependents(sel.Project, sel.Services)
	}
	return o.change(ctx, chosen, false, func(picked []*Container) (*Plan, error) {
		plan := &Plan{}
		p := sel.Project
		if p == nil {
			p = projectFromLabels(sel.Name, picked)
		}
		steps := map[string][]*Step{}
		byID := map[string]*Step{}
		for _, name := range dependencyOrder(p) {
			var after []*Step
			for dep, d := range p.Services[name].DependsOn {
				if d.Restart {
					after = append(after, steps[dep]...)
				}
			}
			for _, c := range picked {
				if c.Service == name {
					before := slices.Clone(after)
					for _, mode := range []string{c.Spec.NetworkMode, c.Spec.PIDMode, c.Spec.IPCMode, c.Spec.UTSMode} {
						id, _ := strings.CutPrefix(mode, "container:")
						before = append(before, byID[id]) // nil: it is not restarted
					}
					byID[c.ID] = plan.add(RestartContainer{Instance: c.instance(), Timeout: timeout}, "", before...)
					steps[name] = append(steps[name], byID[c.ID])
				}
			}
		}
		return plan, nil
	})
}

func withRestartDependents(p *types.Project, services []string) []string {
	out := slices.Clone(services)
	for i := 0; i < len(out); i++ {
		for name, s := range p.Services {
			if d, ok := s.DependsOn[out[i]]; ok && d.Restart && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// Kill sends a signal to what runs. It does not wait for other commands.
func (o *Orchestrator) Kill(ctx context.Context, sel Selection, signal string, orphans bool) error {
	if orphans {
		sel.Project = nil
	}
	picked, err := o.pick(ctx, sel, true)
	if err != nil {
		return err
	}
	plan := &Plan{}
	for _, c := range picked {
		if c.Running() {
			plan.add(KillContainer{Instance: c.instance(), Signal: signal}, "")
		}
	}
	if plan.Empty() {
		return ErrNothing
	}
	op := newOperator(o.Host, o.Roots, sel.Name, sel.Project, &Observed{Project: sel.Name, Containers: picked})
	if o.DryRun != nil {
		return plan.Print(o.DryRun)
	}
	op.report, op.warn = o.Report, o.warn
	free := func() error { return nil }
	return execute(ctx, plan, o.Parallel, op.do, free, func() {})
}

// Pause freezes what runs; Unpause lets it go on.
func (o *Orchestrator) Pause(ctx context.Context, sel Selection) error {
	return o.change(ctx, sel, false, func(picked []*Container) (*Plan, error) {
		plan := &Plan{}
		for _, c := range picked {
			if c.State.Status == engine.Running {
				plan.add(PauseContainer{Instance: c.instance()}, "")
			}
		}
		return plan, nil
	})
}

// Unpause lets paused containers go on.
func (o *Orchestrator) Unpause(ctx context.Context, sel Selection) error {
	return o.change(ctx, sel, false, func(picked []*Container) (*Plan, error) {
		plan := &Plan{}
		for _, c := range picked {
			if c.State.Status == engine.Paused {
				plan.add(UnpauseContainer{Instance: c.instance()}, "")
			}
		}
		return plan, nil
	})
}

// RemoveOptions say what `rm` does.
type RemoveOptions struct {
	Stop    bool // what runs, first
	Volumes bool // anonymous ones too
	// Confirm is asked with the names of what goes; nil: no question.
	Confirm func(names []string) (bool, error)
}

// Remove removes containers that do not run.
func (o *Orchestrator) Remove(ctx context.Context, sel Selection, opts RemoveOptions) error {
	if opts.Stop {
		if err := o.Stop(ctx, sel, nil); err != nil {
			return err
		}
	}
	return o.change(ctx, sel, false, func(picked []*Container) (*Plan, error) {
		plan := &Plan{}
		var names []string
		for _, c := range picked {
			if !c.Running() {
				names = append(names, c.Name())
				plan.add(RemoveContainer{Instance: c.instance(), Volumes: opts.Volumes}, "")
			}
		}
		if plan.Empty() {
			return nil, ErrNothing
		}
		if opts.Confirm != nil {
			if ok, err := opts.Confirm(names); !ok || err != nil {
				return nil, err
			}
		}
		return plan, nil
	})
}

// projectFromLabels is what can be known of a project without its file.
func projectFromLabels(name string, containers []*Container) *types.Project {
	p := &types.Project{Name: name, Services: types.Services{}}
	for _, c := range containers {
		s, ok := p.Services[c.Service]
		if !ok {
			s = types.ServiceConfig{Name: c.Service}
			s.DependsOn = types.DependsOnConfig{}
			for _, d := range strings.Split(c.Label(LabelDependsOn), ",") {
				if part := strings.Split(d, ":"); len(part) == 3 {
					s.DependsOn[part[0]] = types.ServiceDependency{Condition: part[1], Restart: part[2] == "true"}
				}
			}
		}
		p.Services[c.Service] = s
	}
	return p
}
