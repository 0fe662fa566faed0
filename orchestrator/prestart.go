package orchestrator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
)

// A pre_start hook is a container of its own that runs to its end before the
// service's containers start. It has what the service's container has, as far
// as it says nothing else (the loader has put the two together), and the
// volumes of the container that it goes before.

// LabelHook marks such a container.
const LabelHook = "com.docker.compose.hook"

const preStartHook = "pre_start"

// RunPreStart runs the pre_start hooks of a service before Instance: those of
// the service or those of each of its containers.
type RunPreStart struct {
	Service    types.ServiceConfig
	Instance   *Instance
	PerReplica bool
}

func (o RunPreStart) String() string {
	return "run the pre_start hooks of service " + o.Service.Name + " before container " + o.Instance.Name
}

func hasPreStart(s types.ServiceConfig, perReplica bool) bool {
	return slices.ContainsFunc(s.PreStart, func(h types.PreStartHook) bool { return h.PerReplica == perReplica })
}

// hookService is a service that a hook's container could be one of.
func hookService(s types.ServiceConfig, h types.PreStartHook) types.ServiceConfig {
	return types.ServiceConfig{Name: s.Name, ContainerSpec: h.ContainerSpec}
}

// preStart runs hooks one after the other, each to its end. One that fails is
// kept for inspection until the next time.
func (o *operator) preStart(ctx context.Context, sup Supervisor, op RunPreStart) error {
	prefix := op.Instance.Name + "-" + preStartHook + "-"
	whole := context.WithoutCancel(ctx)
	o.mu.Lock()
	var stale []*engine.Container
	for _, c := range o.known {
		if c.Spec.Labels[LabelHook] == preStartHook && strings.HasPrefix(c.Spec.Name, prefix) {
			stale = append(stale, c)
		}
	}
	o.mu.Unlock()
	for _, c := range stale {
		if err := o.removeContainer(whole, RemoveContainer{Instance: &Instance{ID: c.ID, Name: c.Spec.Name}, Volumes: true}); err != nil {
			return err
		}
	}
	for i, h := range op.Service.PreStart {
		if h.PerReplica != op.PerReplica {
			continue
		}
		if err := o.runPreStart(ctx, sup, op, h, fmt.Sprintf("%s%d", prefix, i)); err != nil {
			return fmt.Errorf("service %q pre_start[%d] %w", op.Service.Name, i, err)
		}
	}
	return nil
}

func (o *operator) runPreStart(ctx context.Context, sup Supervisor, op RunPreStart, h types.PreStartHook, name string) error {
	whole := context.WithoutCancel(ctx)
	s := hookService(op.Service, h)
	// What is anonymous is the container's own, and comes from there.
	s.Volumes = slices.DeleteFunc(slices.Clone(s.Volumes), func(v types.ServiceVolumeConfig) bool {
		return v.Type == types.VolumeTypeVolume && v.Source == ""
	})
	s.VolumesFrom = append(slices.Clone(s.VolumesFrom), types.ContainerPrefix+op.Instance.ID)
	s.Labels = s.Labels.Add(LabelHook, preStartHook)
	inst := &Instance{Name: name, Service: s.Name}
	err := o.create(whole, s, inst, convertOptions{
		Name: name, OneOff: true, Slug: name, ImageID: o.images[imageName(o.project, s)],
		Peer: func(ref string) (*engine.Container, error) { return o.peer(whole, ref) },
		File: func(f projectFile) (string, error) { return writeFile(o.roots, o.name, f) },
	}, nil)
	if err != nil {
		return fmt.Errorf("could not be made: %w", err)
	}
	out := &limited{rest: maxHookOutput}
	code, err := stayConnected(ctx, sup, o.container(inst.ID), Streams{Stdout: out, Stderr: out}, func() error { return sup.Start(whole, inst.ID) })
	if err == nil && code != 0 {
		return fmt.Errorf("exited with code %d: %s (hook container %s retained for inspection)", code, strings.TrimSpace(out.String()), inst.Name)
	}
	gone := o.removeContainer(whole, RemoveContainer{Instance: inst, Volumes: true})
	if err != nil {
		return fmt.Errorf("did not run: %w", err)
	}
	return gone
}

// preStartSteps plans the hooks of one service.
type preStartSteps struct {
	r       *reconciler
	service types.ServiceConfig
	once    *Step
	pending bool // the hooks of the whole service are yet to be planned
}

// newPreStart prepares for a service of which containers may have to start.
// The hooks of the whole service run only before its first: where a container
// of it runs already, they have been run.
func (r *reconciler) newPreStart(s types.ServiceConfig, steps *serviceSteps) *preStartSteps {
	h := &preStartSteps{r: r, service: s, pending: hasPreStart(s, false)}
	for _, t := range steps.targets {
		if c := t.observed; c != nil && c.Running() && r.stopped[c.ID] == nil {
			h.pending = false
		}
	}
	return h
}

// before are the steps that a container's start waits for.
func (h *preStartSteps) before(t *target, after []*Step) []*Step {
	if h.pending {
		h.pending = false
		h.once = h.r.plan.add(RunPreStart{Service: h.service, Instance: t.inst}, "before the first container starts", after...)
	}
	var out []*Step
	if h.once != nil {
		out = append(out, h.once)
	}
	if hasPreStart(h.service, true) {
		out = append(out, h.r.plan.add(RunPreStart{Service: h.service, Instance: t.inst, PerReplica: true}, "before it starts", append(out, after...)...))
	}
	return out
}
