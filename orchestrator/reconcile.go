package orchestrator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// Recreate says when a container that exists is replaced.
type Recreate string

// The policies of recreation.
const (
	RecreateDiverged Recreate = ""      // when its configuration or image changed
	RecreateForce    Recreate = "force" // always
	RecreateNever    Recreate = "never"
)

// ReconcileOptions say how far the host is to be made like the file.
type ReconcileOptions struct {
	Services      []string // the services asked for; none: all
	Recreate      Recreate // of these
	RecreateDeps  Recreate // of what they depend on
	RenewAnon     bool     // new anonymous volumes for replaced containers
	RemoveOrphans bool
	AllResources  bool // also networks and volumes that no service uses
	IgnoreOrphans bool // say nothing of containers of services that are no more
	NoStart       bool
	Wait          bool           // until everything runs and is healthy
	Timeout       *time.Duration // for containers that are stopped; nil: their own
}

// reconcile lays out what makes the host like the file. It asks nothing of
// the host: everything it needs is in its arguments. Images are there by now.
func reconcile(p *types.Project, obs *Observed, hashes map[string]string, opts ReconcileOptions) (*Plan, []string, error) {
	r := newReconciler(p, obs, hashes, opts)
	if err := r.planNetworks(); err != nil {
		return nil, nil, err
	}
	if err := r.planVolumes(); err != nil {
		return nil, nil, err
	}
	order := dependencyOrder(p)
	for _, name := range order {
		if err := r.planService(p.Services[name]); err != nil {
			return nil, nil, err
		}
	}
	r.planOrphans()
	if !opts.NoStart {
		for _, name := range order {
			r.planStart(p.Services[name])
		}
		if opts.Wait {
			for _, name := range order {
				r.planFinalWait(p.Services[name])
			}
		}
	}
	return r.plan, r.warnings, nil
}

func newReconciler(p *types.Project, obs *Observed, hashes map[string]string, opts ReconcileOptions) *reconciler {
	return &reconciler{
		project: p, obs: obs, hashes: hashes, opts: opts, plan: &Plan{},
		networks: map[string]*Step{}, volumes: map[string]*Step{},
		services: map[string]*serviceSteps{}, stopped: map[string]*Step{},
		waits: map[string]*Step{}, providers: map[string]*Step{},
	}
}

type reconciler struct {
	project  *types.Project
	obs      *Observed
	hashes   map[string]string // service -> config hash
	opts     ReconcileOptions
	plan     *Plan
	warnings []string

	networks map[string]*Step         // network key -> the step that makes it
	volumes  map[string]*Step         // volume key -> likewise
	services map[string]*serviceSteps // what has been planned for a service
	stopped  map[string]*Step         // container ID -> the step that stops it
	waits    map[string]*Step         // service and condition -> the wait for it

	providers map[string]*Step // service -> what its provider does
}

// serviceSteps is where a service's containers will be after the plan.
type serviceSteps struct {
	targets   []*target // the containers it will have
	recreated bool
}

// target is one container that a service will have.
type target struct {
	inst     *Instance
	observed *Container // nil: it is new
	ready    []*Step    // what must be done before it can start
	start    *Step      // nil: it runs already, or is not to be started
}

// dependencyOrder lists the services so that each comes after those that it
// depends on, otherwise by name. The loader has refused cycles.
func dependencyOrder(p *types.Project) []string {
	var order []string
	seen := map[string]bool{}
	var visit func(string)
	visit = func(name string) {
		s, ok := p.Services[name]
		if !ok || seen[name] {
			return
		}
		seen[name] = true
		for _, dep := range slices.Sorted(maps.Keys(s.DependsOn)) {
			visit(dep)
		}
		order = append(order, name)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		visit(name)
	}
	return order
}

func (r *reconciler) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

// planNetworks makes the networks that are missing and remakes those that
// changed, once their containers have stopped.
func (r *reconciler) planNetworks() error {
	for _, key := range slices.Sorted(maps.Keys(r.project.Networks)) {
		n := r.project.Networks[key]
		have := r.obs.Networks[n.Name]
		users := servicesOnNetwork(r.project, key)
		switch {
		case networkMode(n) != "":
			// There is nothing to make.
		case bool(n.External):
			if have == nil && n.Name != "none" && n.Name != "host" && n.Name != "bridge" {
				return fmt.Errorf("network %s declared as external, but could not be found", n.Name)
			}
		case len(users) == 0 && !r.opts.AllResources:
			// Docker Compose makes only what is used.
		case have == nil:
			r.networks[key] = r.plan.add(CreateNetwork{Key: key, Config: n}, "not found")
		case have.Labels[LabelProject] != r.project.Name:
			r.warn("a network with name %s exists but was not created for project %q.\nSet `external: true` to use an existing network", n.Name, r.project.Name)
		case have.Labels[LabelConfigHash] != "" && have.Labels[LabelConfigHash] != networkHash(n):
			want, err := networkConfig(r.project, key, n)
			if err != nil {
				return err
			}
			reason := networkChanged(have, want)
			var stops []*Step
			for _, c := range r.obs.Containers {
				if c.Running() && slices.ContainsFunc(c.Spec.Networks, onNetwork(n.Name)) {
					stops = append(stops, r.stop(c, "network "+n.Name+" changed"))
				}
			}
			gone := r.plan.add(RemoveNetwork{Name: n.Name}, reason, stops...)
			r.networks[key] = r.plan.add(CreateNetwork{Key: key, Config: n}, reason, gone)
		}
	}
	return nil
}

// planVolumes makes the volumes that are missing. One whose configuration
// changed is kept: remaking it would lose what is in it.
func (r *reconciler) planVolumes() error {
	for _, key := range slices.Sorted(maps.Keys(r.project.Volumes)) {
		v := r.project.Volumes[key]
		have := r.obs.Volumes[v.Name]
		switch {
		case bool(v.External):
			if have == nil {
				return fmt.Errorf("external volume %q not found", v.Name)
			}
		case !volumeUsed(r.project, key) && !r.opts.AllResources:
		case have == nil:
			r.volumes[key] = r.plan.add(CreateVolume{Key: key, Config: v}, "not found")
		case have.Labels[LabelProject] == "":
			r.warn("volume %q already exists but was not created by Docker Compose. Use `external: true` to use an existing volume", v.Name)
		case have.Labels[LabelProject] != r.project.Name:
			r.warn("volume %q already exists but was created for project %q (expected %q). Use `external: true` to use an existing volume", v.Name, have.Labels[LabelProject], r.project.Name)
		case have.Labels[LabelConfigHash] != "" && have.Labels[LabelConfigHash] != volumeHash(v):
			r.warn("volume %q exists but does not match its configuration in the Compose file; it is kept as it is. To make it anew, and lose what is in it, remove it first with down --volumes", v.Name)
		}
	}
	return nil
}

// planOrphans stops and removes containers of services that are no more, or
// tells of them.
func (r *reconciler) planOrphans() {
	orphans := r.obs.orphans(r.project)
	if len(orphans) == 0 {
		return
	}
	if !r.opts.RemoveOrphans {
		if r.opts.IgnoreOrphans {
			return
		}
		names := make([]string, len(orphans))
		for i, c := range orphans {
			names[i] = c.Name()
		}
		r.warn("Found orphan containers ([%s]) for this project. If you removed or renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up.", strings.Join(names, " "))
		return
	}
	for _, c := range orphans {
		r.remove(c, "orphan")
	}
}

// stop plans that a container is stopped, once.
func (r *reconciler) stop(c *Container, reason string, after ...*Step) *Step {
	if s, ok := r.stopped[c.ID]; ok {
		return s
	}
	s := r.plan.add(StopContainer{Instance: c.instance(), Timeout: r.opts.Timeout}, reason, after...)
	r.stopped[c.ID] = s
	return s
}

// remove plans that a container is stopped, if it runs, and removed.
func (r *reconciler) remove(c *Container, reason string, after ...*Step) *Step {
	if c.Running() {
		after = append(after, r.stop(c, reason))
	}
	return r.plan.add(RemoveContainer{Instance: c.instance()}, reason, after...)
}

func volumeUsed(p *types.Project, key string) bool {
	for _, s := range p.Services {
		if slices.Contains(usedVolumes(s), key) {
			return true
		}
	}
	return false
}

func servicesOnNetwork(p *types.Project, key string) []string {
	var out []string
	for name, s := range p.Services {
		if _, ok := s.Networks[key]; ok {
			out = append(out, name)
		}
	}
	return out
}
