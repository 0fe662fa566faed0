package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
	"compose/internal/objectname"
)

// RunOptions say how `run` makes a one-off container of a service. The
// service itself has been changed by the caller where the user asked for it
// (command, environment, ports, ...).
type RunOptions struct {
	Service    string
	Name       string // of the container; "": one is made up
	NoDeps     bool
	AutoRemove bool
	UseAliases bool // answer to the service's names on its networks
	Images     ImageOptions
	Orphans    bool // remove containers of services that are no more
}

// CreateOneOff starts what the service depends on and creates, but does not
// start, a one-off container of it. With DryRun it says so, and gives none.
func (o *Orchestrator) CreateOneOff(ctx context.Context, p *types.Project, opts RunOptions) (*engine.Container, error) {
	s, ok := p.Services[opts.Service]
	if !ok {
		return nil, NoSuchServiceError(opts.Service)
	}
	lock, err := o.lock(p.Name)
	if err != nil {
		return nil, err
	}
	defer lock.unlock()
	obs, err := observe(ctx, o.Host, p)
	if err != nil {
		return nil, err
	}
	op := newOperator(o.Host, o.Roots, p.Name, p, obs)
	if opts.NoDeps {
		p = onlyService(p, opts.Service)
		op.project = p
	}
	images, err := planImages(p, obs, opts.Images)
	if err != nil {
		return nil, err
	}
	if o.DryRun == nil {
		if err := o.ensureImages(ctx, op, lock, obs, images, opts.Images); err != nil {
			return nil, err
		}
		images = &Plan{}
	}
	plan, warnings, err := planRun(p, s, obs, o.hashes(p), opts)
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		o.warn(w)
	}
	if err := checkPorts(o.Host, plan, obs); err != nil {
		return nil, err
	}
	mappings, _, err := ports(s)
	if err != nil {
		return nil, fmt.Errorf("service %q: %w", s.Name, err)
	}
	if len(mappings) > 0 {
		if err := o.Host.CheckPorts(mappings); err != nil {
			return nil, err
		}
	}
	inst := &Instance{Service: s.Name}
	if o.DryRun != nil {
		plan = images.then(plan)
		inst.Name = opts.Name
		if inst.Name == "" {
			inst.Name = "for service " + s.Name
		}
		created := plan.add(CreateContainer{Instance: inst, Service: s}, "run makes one of its own", slices.Clone(plan.Steps)...)
		plan.add(StartContainer{Instance: inst}, "it is created", created)
		return nil, plan.Print(o.DryRun)
	}
	if err := o.run(ctx, op, lock, plan); err != nil {
		return nil, err
	}
	err = op.create(context.WithoutCancel(ctx), s, inst, oneOffOptions(ctx, p, s, op, opts, o.Hash(s)), nil)
	if err != nil {
		return nil, err
	}
	return op.container(inst.ID), nil
}

// planRun makes the service's networks and volumes, and brings up what it
// depends on as far as it asks.
func planRun(p *types.Project, s types.ServiceConfig, obs *Observed, hashes map[string]string, opts RunOptions) (*Plan, []string, error) {
	r := newReconciler(p, obs, hashes, ReconcileOptions{RemoveOrphans: opts.Orphans})
	if err := r.planNetworks(); err != nil {
		return nil, nil, err
	}
	if err := r.planVolumes(); err != nil {
		return nil, nil, err
	}
	order := slices.DeleteFunc(dependencyOrder(p), func(name string) bool { return name == s.Name })
	for _, name := range order {
		if err := r.planService(p.Services[name]); err != nil {
			return nil, nil, err
		}
	}
	if opts.Orphans {
		r.planOrphans()
	}
	for _, name := range order {
		r.planStart(p.Services[name])
	}
	if !opts.NoDeps {
		r.dependencies(s)
	}
	return r.plan, r.warnings, nil
}

// onlyService is the project with all other services out of the way.
func onlyService(p *types.Project, name string) *types.Project {
	q := *p
	q.Services = types.Services{name: p.Services[name]}
	q.DisabledServices = maps.Clone(p.DisabledServices)
	if q.DisabledServices == nil {
		q.DisabledServices = types.Services{}
	}
	for n, s := range p.Services {
		if n != name {
			q.DisabledServices[n] = s
		}
	}
	return &q
}

func oneOffOptions(ctx context.Context, p *types.Project, s types.ServiceConfig, op *operator, opts RunOptions, hash string) convertOptions {
	slug := objectname.NewID()
	c := convertOptions{
		Name:       opts.Name,
		ConfigHash: hash,
		ImageID:    op.images[imageName(p, s)],
		OneOff:     true,
		Slug:       slug,
		NoAliases:  !opts.UseAliases,
		AutoRemove: opts.AutoRemove,
		Peer:       func(ref string) (*engine.Container, error) { return op.peer(ctx, ref) },
		File:       func(f projectFile) (string, error) { return writeFile(op.roots, op.name, f) },
	}
	if c.Name == "" {
		c.Name = strings.Join([]string{p.Name, s.Name, "run", slug[:12]}, separator(p))
	}
	return c
}

// Target finds the container that `exec` and the like are about: the one with
// a number, or the service's first. It must run.
func (o *Orchestrator) Target(ctx context.Context, sel Selection, index int) (*Container, error) {
	service := sel.Services[0]
	all, err := observeContainers(ctx, o.Host, sel.Name)
	if err != nil {
		return nil, err
	}
	c, err := specified(all, service, index)
	if err != nil {
		return nil, err
	}
	if !c.Running() {
		return nil, &NotRunningError{Service: service}
	}
	return c, nil
}

// PsOptions say which containers `ps` lists.
type PsOptions struct {
	All     bool // also those that do not run, and one-off ones
	Orphans bool // also those of services that the file does not have
}

// Ps lists containers of a project by name.
func (o *Orchestrator) Ps(ctx context.Context, sel Selection, opts PsOptions) ([]*Container, error) {
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
		case !opts.All && (c.OneOff || !c.Running()):
		case len(sel.Services) > 0 && !slices.Contains(sel.Services, c.Service):
		case !opts.Orphans && sel.Project != nil && !hasService(sel.Project, c.Service):
		default:
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b *Container) int { return strings.Compare(a.Name(), b.Name()) })
	return out, nil
}

// Everything lists the containers of all projects.
func (o *Orchestrator) Everything(ctx context.Context) ([]*Container, error) {
	return observeContainers(ctx, o.Host, "")
}
