package orchestrator

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sync/errgroup"

	"compose/engine"
	"compose/engine/build"
	"compose/internal/roots"
	"compose/internal/trace"
)

// Orchestrator carries out the verbs on one host.
type Orchestrator struct {
	Host  Host
	Roots roots.Roots

	// Hash tells one configuration of a service from another.
	Hash func(types.ServiceConfig) string

	Report Reporter     // progress; nil: none
	Warn   func(string) // warnings; nil: none
	// BuildProgress hears how builds go on; nil: nobody does.
	BuildProgress func(build.Event)
	Parallel      int       // operations side by side at most; 0: a default
	DryRun        io.Writer // print plans here and do nothing; nil: do them
}

func (o *Orchestrator) warn(msg string) {
	if o.Warn != nil {
		o.Warn(msg)
	}
}

// lock keeps other commands off a project until the returned lock is let go.
func (o *Orchestrator) lock(project string) (*projectLock, error) {
	l := newProjectLock(o.Roots, project, func() {
		o.warn(fmt.Sprintf("another command works on project %q; waiting for it", project))
	})
	if o.DryRun != nil {
		return l, nil
	}
	return l, l.lock()
}

// run carries a plan out, or prints it.
func (o *Orchestrator) run(ctx context.Context, op *operator, lock *projectLock, plan *Plan) error {
	if o.DryRun != nil {
		return plan.Print(o.DryRun)
	}
	op.report, op.warn = o.Report, o.warn
	if plan.starts() {
		// Let the supervisor come up while networks and containers are made.
		go op.supervisor(context.WithoutCancel(ctx))
	}
	return execute(ctx, plan, o.Parallel, op.do, lock.lock, lock.unlock)
}

// starts says whether a container will be started by this plan.
func (p *Plan) starts() bool {
	return slices.ContainsFunc(p.Steps, func(s *Step) bool {
		_, ok := s.Op.(StartContainer)
		return ok
	})
}

// UpOptions say what `up` and `create` do.
type UpOptions struct {
	ReconcileOptions
	Images ImageOptions

	// beforeStart is called once everything is made and before anything is
	// started, with the containers the project then has.
	beforeStart func([]*Container) error
}

// Up makes the host like the file: images, networks, volumes, containers, and
// starts them.
func (o *Orchestrator) Up(ctx context.Context, p *types.Project, opts UpOptions) error {
	lock, err := o.lock(p.Name)
	if err != nil {
		return err
	}
	defer lock.unlock()

	obs, err := observe(ctx, o.Host, p)
	if err != nil {
		return err
	}
	op := newOperator(o.Host, o.Roots, p.Name, p, obs)
	images, err := planImages(p, obs, opts.Images)
	if err != nil {
		return err
	}
	if o.DryRun == nil {
		if err := o.ensureImages(ctx, op, lock, obs, images, opts.Images); err != nil {
			return err
		}
		images = &Plan{}
	}
	planning := trace.Begin("plan", p.Name)
	plan, warnings, err := reconcile(p, obs, o.hashes(p), opts.ReconcileOptions)
	planning.End()
	if err != nil {
		return err
	}
	for _, w := range warnings {
		o.warn(w)
	}
	if err := checkPorts(o.Host, plan, obs); err != nil {
		return err
	}
	o.tellUnchanged(p, obs, plan)
	plan = images.then(plan)
	if opts.beforeStart == nil || o.DryRun != nil {
		return o.run(ctx, op, lock, plan)
	}
	first, second := plan.split()
	if err := o.run(ctx, op, lock, first); err != nil {
		return err
	}
	all, err := observeContainers(ctx, o.Host, p.Name)
	if err != nil {
		return err
	}
	if err := opts.beforeStart(all); err != nil {
		return err
	}
	return o.run(ctx, op, lock, second)
}

// ensureImages pulls and builds what the services need, and notes the IDs.
func (o *Orchestrator) ensureImages(ctx context.Context, op *operator, lock *projectLock, obs *Observed, plan *Plan, opts ImageOptions) error {
	op.imageOptions, op.buildProgress = opts, o.BuildProgress
	if plan.Empty() {
		return nil
	}
	if err := o.run(ctx, op, lock, plan); err != nil {
		return err
	}
	clear(obs.Images)
	return obs.observeImages(ctx, o.Host, op.project)
}

// hashes are the config hashes of all services, made side by side.
func (o *Orchestrator) hashes(p *types.Project) map[string]string {
	names := slices.Sorted(maps.Keys(p.Services))
	sums := make([]string, len(names))
	var g errgroup.Group
	g.SetLimit(4)
	for i, name := range names {
		g.Go(func() error {
			sums[i] = o.Hash(p.Services[name])
			return nil
		})
	}
	_ = g.Wait() // no function of the group fails
	out := make(map[string]string, len(names))
	for i, name := range names {
		out[name] = sums[i]
	}
	return out
}

// tellUnchanged reports the containers that run and stay as they are.
func (o *Orchestrator) tellUnchanged(p *types.Project, obs *Observed, plan *Plan) {
	if o.DryRun != nil {
		return
	}
	touched := map[string]bool{}
	for _, s := range plan.Steps {
		switch op := s.Op.(type) {
		case StopContainer:
			touched[op.Instance.ID] = true
		case RemoveContainer:
			touched[op.Instance.ID] = true
		}
	}
	for _, c := range obs.Containers {
		if _, ok := p.Services[c.Service]; ok && !c.OneOff && c.State.Status == engine.Running && !touched[c.ID] {
			o.Report.send("Container "+c.Name(), Done, "Running", "")
		}
	}
}
