package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
	"compose/engine/build"
	"compose/internal/deepstack"
	"compose/internal/roots"
	"compose/internal/trace"
)

// ErrInUse is matched by the error of removing what something still uses.
var ErrInUse = errors.New("in use")

// operator does the operations of a plan on a host.
type operator struct {
	host    Host
	roots   roots.Roots
	project *types.Project // nil where there is no file: nothing is created then
	name    string         // of the project
	report  Reporter
	warn    func(string)
	images  map[string]string // image name -> ID

	imageOptions  ImageOptions
	buildProgress func(build.Event)

	supervisor func(context.Context) (Supervisor, error) // connected to at most once, and started if need be
	running    func(context.Context) (Supervisor, error) // the same, or nil where none runs

	mu    sync.Mutex
	known map[string]*engine.Container // by ID: what was observed and what has been made since

	variables map[string]providerVariables // by service: what its provider has said
}

func newOperator(h Host, r roots.Roots, name string, p *types.Project, obs *Observed) *operator {
	o := &operator{host: h, roots: r, name: name, project: p, images: obs.Images, known: map[string]*engine.Container{}}
	for _, c := range obs.Containers {
		o.known[c.ID] = c.Container
	}
	var mu sync.Mutex
	var sup Supervisor
	o.supervisor = func(ctx context.Context) (_ Supervisor, err error) {
		mu.Lock()
		defer mu.Unlock()
		if sup == nil {
			sup, err = h.Supervisor(ctx, name)
		}
		return sup, err
	}
	o.running = func(ctx context.Context) (_ Supervisor, err error) {
		mu.Lock()
		defer mu.Unlock()
		if sup == nil {
			sup, err = h.RunningSupervisor(ctx, name)
		}
		return sup, err
	}
	return o
}

// do carries out one step and tells of it.
func (o *operator) do(ctx context.Context, s *Step, others func() error) error {
	deepstack.Grow()
	defer trace.Begin("step", s.Op.String()).End()
	w, told := wordsFor(s)
	begin := sync.OnceFunc(func() {
		if told && w.begin != "" {
			o.report.send(w.id, Working, w.begin, "")
		}
	})
	if len(s.Beside) == 0 {
		begin()
	}
	err := o.operate(ctx, s.Op, func() error {
		if err := others(); err != nil {
			return err
		}
		begin()
		return nil
	})
	switch {
	case errors.Is(err, errKept):
		return nil
	case !told:
	case err == nil && w.end != "":
		o.report.send(w.id, Done, w.end, "")
	case err != nil && ctx.Err() == nil:
		begin()
		o.report.send(w.id, Failed, "Error", err.Error())
	}
	return err
}

// errKept says that a thing stays because it is in use, which has been told.
var errKept = errors.New("resource is still in use")

// operate does it. What changes the host is not cut short by a cancelled
// context: it takes milliseconds, and half of it would have to be undone. Where
// the step runs beside others, it calls them before it does what cannot be undone.
func (o *operator) operate(ctx context.Context, op Operation, others func() error) error {
	whole := context.WithoutCancel(ctx)
	switch op := op.(type) {
	case PullImage, BuildImage:
		return o.provide(ctx, op)
	case RemoveImage:
		return o.removed("Image "+op.Image, o.host.RemoveImage(whole, op.Image))
	case CreateNetwork:
		cfg, err := networkConfig(o.project, op.Key, op.Config)
		if err != nil {
			return err
		}
		if err := o.host.CreateNetwork(whole, cfg); err != nil {
			return fmt.Errorf("failed to create network %s: %w", op.Config.Name, err)
		}
		return nil
	case RemoveNetwork:
		err := o.host.RemoveNetwork(whole, op.Name)
		if failed := others(); failed != nil {
			return failed
		}
		if op.KeepInUse && errors.Is(err, ErrInUse) { // by what has gone meanwhile, maybe
			err = o.host.RemoveNetwork(whole, op.Name)
		}
		if op.KeepInUse {
			return o.removed("Network "+op.Name, err)
		}
		return err
	case CreateVolume:
		return o.host.CreateVolume(whole, op.Config.Name, op.Config, volumeLabels(o.project, op.Key, op.Config))
	case RemoveVolume:
		return o.removed("Volume "+op.Name, o.host.RemoveVolume(whole, op.Name))
	case CreateContainer:
		return o.createContainer(whole, op, others)
	case RenameContainer:
		if err := o.host.RenameContainer(whole, op.Instance.ID, op.Name); err != nil {
			return err
		}
		op.Instance.Name = op.Name
		return nil
	case RemoveContainer:
		return o.removeContainer(whole, op)
	case WaitFor:
		return o.waitFor(ctx, op)
	case RunProvider:
		return o.runProvider(ctx, op)
	}
	return o.steer(ctx, op)
}

// steer does what only the supervisor may: it is the parent of the processes.
func (o *operator) steer(ctx context.Context, op Operation) error {
	sup, err := o.supervisor(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	switch op := op.(type) {
	case StartContainer:
		return o.start(context.WithoutCancel(ctx), sup, op.Instance)
	case RunPreStart:
		return o.preStart(ctx, sup, op)
	case StopContainer:
		return o.stop(ctx, sup, op)
	case RestartContainer:
		return o.restart(ctx, sup, op)
	case KillContainer:
		err := sup.Kill(ctx, op.Instance.ID, op.Signal)
		if err != nil {
			return o.unlessEnded(op.Instance, err) // by itself, meanwhile
		}
		return nil
	case PauseContainer:
		return sup.Pause(ctx, op.Instance.ID)
	case UnpauseContainer:
		return sup.Unpause(ctx, op.Instance.ID)
	}
	return fmt.Errorf("no way to %s", op)
}

// removed turns the removal of what is in use or gone into a line of progress.
func (o *operator) removed(id string, err error) error {
	switch {
	case errors.Is(err, ErrInUse):
		o.report.send(id, Warning, "Resource is still in use", "")
		return errKept
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (o *operator) createContainer(ctx context.Context, op CreateContainer, ready func() error) error {
	opts := convertOptions{
		Name:       op.Instance.Name,
		Number:     op.Instance.Number,
		ConfigHash: op.Hash,
		ImageID:    o.images[imageName(o.project, op.Service)],
		Peer:       func(ref string) (*engine.Container, error) { return o.peer(ctx, ref) },
		File:       func(f projectFile) (string, error) { return writeFile(o.roots, o.name, f) },
	}
	if op.Replaces != nil {
		opts.Name = op.Replaces.ID[:min(12, len(op.Replaces.ID))] + "_" + op.Instance.Name
		if old := o.container(op.Replaces.ID); old != nil && !op.RenewAnon {
			opts.Inherit = anonymousVolumes(old)
		}
	}
	return o.create(ctx, o.withProviders(op.Service), op.Instance, opts, ready)
}

func (o *operator) create(ctx context.Context, s types.ServiceConfig, inst *Instance, opts convertOptions, ready func() error) error {
	spec, err := containerSpec(o.project, s, opts)
	if err != nil {
		return err
	}
	c, err := o.host.CreateContainer(ctx, spec, ready)
	if err != nil {
		return err
	}
	inst.ID = c.ID
	o.mu.Lock()
	o.known[c.ID] = c
	o.mu.Unlock()
	return nil
}

// anonymousVolumes are the mounts of volumes that have no name but their ID.
func anonymousVolumes(c *engine.Container) []engine.Mount {
	var out []engine.Mount
	for _, m := range c.Spec.Mounts {
		if m.Type == "volume" && isAnonymous(m.Source) {
			out = append(out, m)
		}
	}
	return out
}

func isAnonymous(volume string) bool {
	return len(volume) == 64 && strings.Trim(volume, "0123456789abcdef") == ""
}

func (o *operator) removeContainer(ctx context.Context, op RemoveContainer) error {
	sup, err := o.running(ctx)
	if err != nil {
		return err
	}
	if sup != nil {
		err = sup.Remove(ctx, op.Instance.ID, true, op.Volumes)
	}
	if sup == nil || errors.Is(err, ErrNoSupervisor) {
		err = o.host.RemoveContainer(ctx, op.Instance.ID, op.Volumes)
	}
	if gone(err) != nil {
		return err
	}
	o.mu.Lock()
	delete(o.known, op.Instance.ID)
	o.mu.Unlock()
	return nil
}

// ErrNoSupervisor is matched by the error of a request to a supervisor that
// has left in the meantime, as it does when it has nothing to look after.
var ErrNoSupervisor = errors.New("the project has no supervisor")

func (o *operator) container(id string) *engine.Container {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.known[id]
}

// peer finds the container for "service:x" (its first) or "container:y".
func (o *operator) peer(ctx context.Context, ref string) (*engine.Container, error) {
	if name, ok := strings.CutPrefix(ref, types.ContainerPrefix); ok {
		return o.host.Container(ctx, name)
	}
	name := strings.TrimPrefix(ref, types.ServicePrefix)
	o.mu.Lock()
	defer o.mu.Unlock()
	var found []*engine.Container
	for _, c := range o.known {
		if c.Spec.Labels[LabelService] == name && c.Spec.Labels[LabelOneOff] != "True" {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		return nil, errors.New("container missing")
	}
	// Of an old one and its replacement the newer: the old one is going.
	return slices.MinFunc(found, func(a, b *engine.Container) int {
		na, _ := strconv.Atoi(a.Spec.Labels[LabelNumber])
		nb, _ := strconv.Atoi(b.Spec.Labels[LabelNumber])
		return cmp.Or(cmp.Compare(na, nb), b.Created.Compare(a.Created))
	}), nil
}
