package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sync/errgroup"

	"compose/engine"
	"compose/internal/spread"
	"compose/internal/trace"
	"compose/netbridge"
)

// Observed is what the host has of a project, read once.
type Observed struct {
	Project    string
	Containers []*Container                  // by service, one-off ones last, by number
	Networks   map[string]*netbridge.Network // by name; of the project, and all that it names
	Volumes    map[string]*Volume            // likewise
	Images     map[string]string             // image name -> ID, "" where the host has none
	Tagged     map[string]time.Time          // image name -> when it came here, where pull_policy asks for that
}

// Container is a container that exists, with what its labels say.
type Container struct {
	*engine.Container
	State   *engine.State
	Service string
	Number  int
	OneOff  bool
}

func newContainer(c *engine.Container, state *engine.State) *Container {
	n, _ := strconv.Atoi(c.Spec.Labels[LabelNumber])
	return &Container{
		Container: c,
		State:     state,
		Service:   c.Spec.Labels[LabelService],
		Number:    n,
		OneOff:    c.Spec.Labels[LabelOneOff] == "True",
	}
}

// Name is the container's name.
func (c *Container) Name() string { return c.Spec.Name }

// Label is the value of one of the container's labels.
func (c *Container) Label(name string) string { return c.Spec.Labels[name] }

// Running says that the container's process lives, be it paused or about to
// be restarted.
func (c *Container) Running() bool {
	switch c.State.Status {
	case engine.Running, engine.Paused, engine.Restarting:
		return true
	}
	return false
}

func (c *Container) instance() *Instance {
	return &Instance{ID: c.ID, Name: c.Spec.Name, Service: c.Service, Number: c.Number}
}

// observeContainers reads the containers of a project and their states.
func observeContainers(ctx context.Context, h Host, project string) ([]*Container, error) {
	list, err := h.Containers(ctx, project)
	if err != nil {
		return nil, err
	}
	out := make([]*Container, len(list))
	err = spread.Each(len(list), func(i int) error {
		state, err := h.State(list[i].ID)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed since we listed it
		}
		if err == nil {
			out[i] = newContainer(list[i], state)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out = slices.DeleteFunc(out, func(c *Container) bool { return c == nil })
	slices.SortFunc(out, func(a, b *Container) int {
		oneOff := func(c *Container) int {
			if c.OneOff {
				return 1
			}
			return 0
		}
		return cmp.Or(
			cmp.Compare(a.Service, b.Service),
			cmp.Compare(oneOff(a), oneOff(b)),
			cmp.Compare(a.Number, b.Number),
			cmp.Compare(a.Spec.Name, b.Spec.Name),
		)
	})
	return out, nil
}

// observe reads all that the host has of a project: its containers, and the
// networks, volumes and images that its file names.
func observe(ctx context.Context, h Host, p *types.Project) (*Observed, error) {
	defer trace.Begin("observe the host", p.Name).End()
	o := &Observed{
		Project:  p.Name,
		Networks: map[string]*netbridge.Network{},
		Volumes:  map[string]*Volume{},
		Images:   map[string]string{},
		Tagged:   map[string]time.Time{},
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		o.Containers, err = observeContainers(ctx, h, p.Name)
		return err
	})
	g.Go(func() error {
		for _, n := range p.Networks {
			net, err := h.Network(ctx, n.Name)
			if err != nil {
				return err
			}
			if net != nil {
				o.Networks[n.Name] = net
			}
		}
		for _, v := range p.Volumes {
			vol, err := h.Volume(ctx, v.Name)
			if err != nil {
				return err
			}
			if vol != nil {
				o.Volumes[v.Name] = vol
			}
		}
		return nil
	})
	g.Go(func() error { return o.observeImages(ctx, h, p) })
	return o, g.Wait()
}

// observeImages looks up each image once, however many services use it.
func (o *Observed) observeImages(ctx context.Context, h Host, p *types.Project) error {
	var all []types.ServiceConfig
	for _, s := range p.Services {
		if s.Provider != nil {
			continue
		}
		all = append(append(all, s), imagesBeside(s)...)
	}
	for _, s := range all {
		name := imageName(p, s)
		id, known := o.Images[name]
		if !known {
			var err error
			if id, err = h.ImageID(ctx, name); err != nil {
				return err
			}
			o.Images[name] = id
		}
		if policy, _, err := pullPolicy(s); err == nil && policy == types.PullPolicyRefresh && id != "" {
			img, err := h.Image(ctx, id)
			if err != nil {
				return err
			}
			o.Tagged[name] = img.Tagged
		}
	}
	return nil
}

// observeLabels reads what the host has of a project of which there is no
// file: everything that carries its label.
func observeLabels(ctx context.Context, h Host, project string) (*Observed, error) {
	o := &Observed{
		Project:  project,
		Networks: map[string]*netbridge.Network{},
		Volumes:  map[string]*Volume{},
		Images:   map[string]string{},
		Tagged:   map[string]time.Time{},
	}
	var err error
	if o.Containers, err = observeContainers(ctx, h, project); err != nil {
		return nil, err
	}
	if err := o.addNetworks(ctx, h); err != nil {
		return nil, err
	}
	vols, err := h.Volumes(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range vols {
		if v.Labels[LabelProject] == project {
			o.Volumes[v.Name] = v
		}
	}
	return o, nil
}

// addNetworks adds the networks that were made for the project.
func (o *Observed) addNetworks(ctx context.Context, h Host) error {
	nets, err := h.Networks(ctx)
	if err != nil {
		return err
	}
	for _, n := range nets {
		if n.Labels[LabelProject] == o.Project {
			o.Networks[n.Name] = n
		}
	}
	return nil
}

// ofService are the containers of one service, without one-off ones.
func (o *Observed) ofService(name string) []*Container {
	var out []*Container
	for _, c := range o.Containers {
		if c.Service == name && !c.OneOff {
			out = append(out, c)
		}
	}
	return out
}

// orphans are the containers of services that the file does not have.
func (o *Observed) orphans(p *types.Project) []*Container {
	var out []*Container
	for _, c := range o.Containers {
		_, enabled := p.Services[c.Service]
		_, disabled := p.DisabledServices[c.Service]
		switch {
		case c.OneOff:
			if c.State.Status == engine.Exited || c.State.Status == engine.Dead {
				out = append(out, c)
			}
		case !enabled && !disabled:
			out = append(out, c)
		}
	}
	return out
}
