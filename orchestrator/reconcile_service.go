package orchestrator

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
	"compose/netbridge"
)

// planService brings a service to its number of containers, all of them as
// the file has them now.
func (r *reconciler) planService(s types.ServiceConfig) error {
	if s.Provider != nil {
		r.services[s.Name] = &serviceSteps{}
		r.providers[s.Name] = r.plan.add(RunProvider{Service: s, Command: "up"}, "provider service", r.providersOf(s)...)
		return nil
	}
	scale := s.GetScale()
	if scale > 1 && s.ContainerName != "" {
		return fmt.Errorf("the %q service is using the custom container name %q. Docker requires each container to have a unique name. Remove the custom name to scale the service", s.Name, s.ContainerName)
	}
	steps := &serviceSteps{}
	r.services[s.Name] = steps

	have := r.obs.ofService(s.Name)
	outdated := map[*Container]string{}
	for _, c := range have {
		if reason := r.outdated(s, c); reason != "" {
			outdated[c] = reason
		}
	}
	// Those to keep come first: up to date before outdated, low numbers first.
	slices.SortStableFunc(have, func(a, b *Container) int {
		old := func(c *Container) int { return min(len(outdated[c]), 1) }
		return cmp.Or(cmp.Compare(old(a), old(b)), cmp.Compare(a.Number, b.Number))
	})
	keep := have[:min(scale, len(have))]
	gone := map[string]*Step{} // container name -> the step that frees it
	for _, c := range have[len(keep):] {
		gone[c.Name()] = r.remove(c, fmt.Sprintf("scale %s to %d", s.Name, scale))
	}
	needs := r.creationNeeds(s)
	for _, c := range keep {
		name := containerName(r.project, s, c.Number)
		if reason, ok := outdated[c]; ok {
			steps.recreated = true
			steps.targets = append(steps.targets, r.recreate(s, c, name, reason, needs))
			continue
		}
		t := &target{inst: c.instance(), observed: c}
		if c.Name() != name { // left by an `up` that was killed half-way
			t.ready = []*Step{r.plan.add(RenameContainer{Instance: t.inst, Name: name}, "finish the last recreation", gone[name])}
		}
		steps.targets = append(steps.targets, t)
	}
	next := 1
	for _, c := range have {
		next = max(next, c.Number+1)
	}
	for n := len(keep); n < scale; n++ {
		inst := &Instance{Name: containerName(r.project, s, next), Service: s.Name, Number: next}
		created := r.plan.add(CreateContainer{Instance: inst, Service: s, Hash: r.hashes[s.Name]}, "no existing container", needs...)
		created.Beside = r.networksOf(s)
		steps.targets = append(steps.targets, &target{inst: inst, ready: []*Step{created}})
		next++
	}
	slices.SortStableFunc(steps.targets, func(a, b *target) int { return cmp.Compare(a.inst.Number, b.inst.Number) })
	return nil
}

// outdated says why a container must be replaced, or "".
func (r *reconciler) outdated(s types.ServiceConfig, c *Container) string {
	policy := r.opts.Recreate
	if len(r.opts.Services) > 0 && !slices.Contains(r.opts.Services, s.Name) {
		policy = r.opts.RecreateDeps
	}
	switch policy {
	case RecreateNever:
		return ""
	case RecreateForce:
		return "recreation was asked for"
	}
	if dep := r.recreatedPeer(s); dep != "" {
		return "it shares with service " + dep + ", which is recreated"
	}
	if c.Label(LabelConfigHash) != r.hashes[s.Name] {
		return configurationChanged(c, s)
	}
	if id := r.obs.Images[imageName(r.project, s)]; id != "" && id != c.ImageID {
		return "its image changed " + shortID(c.ImageID) + " -> " + shortID(id)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Networks)) {
		if networkMode(r.project.Networks[key]) != "" {
			continue
		}
		name := r.project.Networks[key].Name
		if !slices.ContainsFunc(c.Spec.Networks, onNetwork(name)) {
			return "it is not on network " + name
		}
	}
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeVolume || v.Source == "" {
			continue
		}
		name := r.project.Volumes[v.Source].Name
		if !slices.ContainsFunc(c.Spec.Mounts, func(m engine.Mount) bool { return m.Type == "volume" && m.Source == name }) {
			return "it does not use volume " + name
		}
	}
	return ""
}

// shortID is an image's ID as lists show it.
func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}

// recreatedPeer is the service whose container this one holds on to by ID
// (its namespaces or volumes) and which is recreated.
func (r *reconciler) recreatedPeer(s types.ServiceConfig) string {
	for _, name := range peers(s) {
		if steps, ok := r.services[name]; ok && steps.recreated {
			return name
		}
	}
	return ""
}

// peers are the services to whose containers a service's containers refer.
func peers(s types.ServiceConfig) []string {
	var out []string
	for _, mode := range []string{s.NetworkMode, s.Ipc, s.Pid} {
		if name, ok := strings.CutPrefix(mode, types.ServicePrefix); ok {
			out = append(out, name)
		}
	}
	for _, from := range s.VolumesFrom {
		if !strings.HasPrefix(from, types.ContainerPrefix) {
			name, _, _ := strings.Cut(from, ":")
			out = append(out, name)
		}
	}
	return out
}

// networksOf are the steps that make the networks of a service.
func (r *reconciler) networksOf(s types.ServiceConfig) []*Step {
	var out []*Step
	for _, key := range slices.Sorted(maps.Keys(s.Networks)) {
		if step := r.networks[key]; step != nil {
			out = append(out, step)
		}
	}
	return out
}

// creationNeeds are the steps before a container of the service can be made,
// but for those of its networks: they can be made meanwhile.
func (r *reconciler) creationNeeds(s types.ServiceConfig) []*Step {
	needs := r.providersOf(s) // whose words become its environment
	for _, key := range usedVolumes(s) {
		needs = append(needs, r.volumes[key])
	}
	for _, name := range peers(s) {
		if steps, ok := r.services[name]; ok {
			for _, t := range steps.targets {
				needs = append(needs, t.ready...)
			}
		}
	}
	return needs
}

// providersOf are the steps of the providers that a service depends on.
func (r *reconciler) providersOf(s types.ServiceConfig) []*Step {
	var out []*Step
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		if step := r.providers[name]; step != nil {
			out = append(out, step)
		}
	}
	return out
}

// recreate replaces a container. The new one is made under a name of its own
// before the old one goes, so that a failure leaves the old one, and a kill at
// any point leaves something from which the next `up` goes on.
func (r *reconciler) recreate(s types.ServiceConfig, c *Container, name, reason string, needs []*Step) *target {
	old := c.instance()
	inst := &Instance{Name: name, Service: s.Name, Number: c.Number}
	dependents := r.stopDependents(s)
	created := r.plan.add(CreateContainer{
		Instance: inst, Service: s, Hash: r.hashes[s.Name], Replaces: old, RenewAnon: r.opts.RenewAnon,
	}, reason, append(slices.Clone(needs), dependents...)...)
	created.Beside = r.networksOf(s)
	free := created
	if c.Running() {
		if free = r.stopped[c.ID]; free == nil {
			free = r.stop(c, "it is replaced", created)
			free.quiet = true
		}
	}
	removed := r.plan.add(RemoveContainer{Instance: old}, "it is replaced", created, free)
	removed.quiet = true
	renamed := r.plan.add(RenameContainer{Instance: inst, Name: name}, "it has taken the other's place", removed)
	return &target{inst: inst, ready: []*Step{renamed}}
}

// stopDependents stops the containers of services that said
// depends_on.<service>.restart, so that they start after the new one.
func (r *reconciler) stopDependents(s types.ServiceConfig) []*Step {
	var stops []*Step
	for _, name := range slices.Sorted(maps.Keys(r.project.Services)) {
		if d, ok := r.project.Services[name].DependsOn[s.Name]; !ok || !d.Restart {
			continue
		}
		for _, c := range r.obs.ofService(name) {
			if c.Running() {
				stops = append(stops, r.stop(c, "service "+s.Name+", which it depends on, is recreated"))
			}
		}
	}
	return stops
}

// planStart starts what does not run, each container as soon as what it
// depends on is as depends_on asks.
func (r *reconciler) planStart(s types.ServiceConfig) {
	steps := r.services[s.Name]
	var deps []*Step
	depsPlanned := false
	hooks := r.newPreStart(s, steps)
	for _, t := range steps.targets {
		after := slices.Clone(t.ready)
		reason := "it is created"
		if c := t.observed; c != nil {
			stop, stopped := r.stopped[c.ID]
			switch {
			case stopped:
				reason = "it was stopped for a change"
				after = append(after, stop)
				after = append(after, r.networksOf(s)...)
			case c.State.Status == engine.Paused:
				t.start = r.plan.add(UnpauseContainer{Instance: t.inst}, "it is paused", after...)
				continue
			case c.Running():
				continue
			default:
				reason = "it does not run"
			}
		}
		if !depsPlanned {
			deps = r.dependencies(s)
			depsPlanned = true
		}
		after = append(after, deps...)
		t.start = r.plan.add(StartContainer{Instance: t.inst}, reason, append(after, hooks.before(t, after)...)...)
	}
}

// dependencies are the steps after which a service may start.
func (r *reconciler) dependencies(s types.ServiceConfig) []*Step {
	out := r.providersOf(s)
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		steps, ok := r.services[name]
		if !ok || len(steps.targets) == 0 {
			continue
		}
		d := s.DependsOn[name]
		if d.Condition == types.ServiceConditionStarted || d.Condition == "" {
			out = append(out, startSteps(steps)...)
			continue
		}
		out = append(out, r.wait(name, d.Condition, d.Required, "service "+s.Name+" depends on it"))
	}
	return out
}

// planFinalWait is `up --wait`: until the service runs and is healthy, or, if
// that is what others wait for, has completed.
func (r *reconciler) planFinalWait(s types.ServiceConfig) {
	condition := runningOrHealthy
	for _, other := range r.project.Services {
		if d, ok := other.DependsOn[s.Name]; ok && d.Condition == types.ServiceConditionCompletedSuccessfully {
			condition = d.Condition
		}
	}
	if len(r.services[s.Name].targets) > 0 {
		r.wait(s.Name, condition, true, "--wait")
	}
}

// wait plans one wait a service and condition, whoever waits for it.
func (r *reconciler) wait(service, condition string, required bool, reason string) *Step {
	key := fmt.Sprint(service, "\x00", condition, "\x00", required)
	if s, ok := r.waits[key]; ok {
		return s
	}
	steps := r.services[service]
	op := WaitFor{Service: service, Condition: condition, Required: required}
	for _, t := range steps.targets {
		op.Instances = append(op.Instances, t.inst)
	}
	s := r.plan.add(op, reason, startSteps(steps)...)
	r.waits[key] = s
	return s
}

func startSteps(s *serviceSteps) []*Step {
	var out []*Step
	for _, t := range s.targets {
		if t.start != nil {
			out = append(out, t.start)
		}
	}
	return out
}

func onNetwork(name string) func(netbridge.EndpointConfig) bool {
	return func(e netbridge.EndpointConfig) bool { return e.Network == name }
}
