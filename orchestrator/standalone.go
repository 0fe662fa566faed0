package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
	"compose/engine/image"
	"compose/netbridge"
)

// StandaloneProject is the built-in project of the containers that were made
// outside one. No file can name a project so, for it begins with a dot.
const StandaloneProject = ".standalone"

// StandaloneOptions say how a container outside a project is made. Its
// service has the words that Compose and `docker run` have in common.
type StandaloneOptions struct {
	Name       string // "": one is made up
	AutoRemove bool
	PublishAll bool   // publish all ports that are exposed, on free ports of the host
	Pull       string // "always", "missing" or "never"
	CpusetMems string // memory nodes that may be used, which Compose has no word for
	// Fetch pulls an image: one that is missing, or whatever there is.
	Fetch func(ctx context.Context, ref, platform string, missing bool) error
}

// CreateStandalone makes, but does not start, a container outside a project.
// The service names its networks by their own names.
func (o *Orchestrator) CreateStandalone(ctx context.Context, s types.ServiceConfig, opts StandaloneOptions) (*engine.Container, error) {
	if err := o.ensureImage(ctx, s, opts); err != nil {
		return nil, err
	}
	if opts.PublishAll {
		if err := o.publishAll(ctx, &s); err != nil {
			return nil, err
		}
	}
	p := &types.Project{Name: StandaloneProject, Services: types.Services{s.Name: s}, Networks: types.Networks{}, Volumes: types.Volumes{}}
	for name := range s.Networks {
		p.Networks[name] = types.NetworkConfig{Name: name}
	}
	for _, name := range usedVolumes(s) {
		p.Volumes[name] = types.VolumeConfig{Name: name}
	}
	spec, err := containerSpec(p, s, convertOptions{
		AutoRemove: opts.AutoRemove, Standalone: true,
		Peer: func(ref string) (*engine.Container, error) {
			name := strings.TrimPrefix(strings.TrimPrefix(ref, types.ContainerPrefix), types.ServicePrefix)
			return o.Host.Container(ctx, name)
		},
	})
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), fmt.Sprintf("service %q: ", s.Name)))
	}
	spec.Resources.CpusetMems = opts.CpusetMems
	for _, n := range spec.Networks {
		if n.Network == engine.DefaultNetwork {
			continue
		}
		if found, err := o.Host.Network(ctx, n.Network); err != nil {
			return nil, err
		} else if found == nil {
			return nil, fmt.Errorf("network %s not found", n.Network)
		}
	}
	if len(spec.Ports) > 0 {
		if err := o.Host.CheckPorts(spec.Ports); err != nil {
			return nil, err
		}
	}
	return o.createNamed(ctx, spec, opts.Name)
}

// createNamed makes the container, under a name made up unless it has one.
func (o *Orchestrator) createNamed(ctx context.Context, spec engine.ContainerSpec, name string) (*engine.Container, error) {
	for try := 0; ; try++ {
		if spec.Name = name; name == "" {
			spec.Name = randomName(try)
		}
		c, err := o.Host.CreateContainer(ctx, spec, nil)
		var taken *engine.NameTakenError
		if name != "" || !errors.As(err, &taken) {
			return c, err
		}
	}
}

// ensureImage pulls the image if the host does not have it, or always.
func (o *Orchestrator) ensureImage(ctx context.Context, s types.ServiceConfig, opts StandaloneOptions) error {
	id, err := o.Host.ImageID(ctx, s.Image)
	if err != nil {
		return err
	}
	switch opts.Pull {
	case "always":
	case "never":
		if id == "" {
			return &image.NotFoundError{Ref: s.Image}
		}
		return nil
	case "", "missing":
		if id != "" {
			return nil
		}
	default:
		return fmt.Errorf("invalid pull option: '%s': must be one of 'always', 'missing' or 'never'", opts.Pull)
	}
	return opts.Fetch(ctx, s.Image, s.Platform, id == "")
}

// publishAll publishes every port that the image or the service exposes.
func (o *Orchestrator) publishAll(ctx context.Context, s *types.ServiceConfig) error {
	id, err := o.Host.ImageID(ctx, s.Image)
	if err != nil {
		return err
	}
	img, err := o.Host.Image(ctx, id)
	if err != nil {
		return err
	}
	all := slices.Collect(maps.Keys(img.Config.Config.ExposedPorts))
	for _, e := range s.Expose {
		list, err := exposedPorts(e)
		if err != nil {
			return err
		}
		all = append(all, list...)
	}
	slices.Sort(all)
	for _, port := range slices.Compact(all) {
		if slices.ContainsFunc(s.Ports, func(p types.ServicePortConfig) bool { return fmt.Sprintf("%d/%s", p.Target, p.Protocol) == port }) {
			continue
		}
		list, err := types.ParsePortConfig(port)
		if err != nil {
			return err
		}
		s.Ports = append(s.Ports, list...)
	}
	return nil
}

// Find finds a container by name, ID or a unique beginning of it, whatever
// project it is of.
func (o *Orchestrator) Find(ctx context.Context, ref string) (*Container, error) {
	c, err := o.Host.Container(ctx, ref)
	if err != nil {
		return nil, err
	}
	state, err := o.Host.State(c.ID)
	if err != nil {
		return nil, err
	}
	return newContainer(c, state), nil
}

// RemoveOne removes a container, with force also one that runs, and with
// volumes its anonymous volumes too.
func (o *Orchestrator) RemoveOne(ctx context.Context, c *Container, force, volumes bool) error {
	if c.Running() && !force {
		state := string(c.State.Status)
		return fmt.Errorf("cannot remove container %q: container is %s: stop the container before removing or force remove", "/"+c.Name(), state)
	}
	sup, err := o.Host.RunningSupervisor(ctx, c.Spec.Project)
	if err != nil {
		return err
	}
	if sup == nil && c.Running() {
		sup, err = o.Host.Supervisor(ctx, c.Spec.Project)
	}
	if sup != nil && err == nil {
		err = sup.Remove(ctx, c.ID, force, volumes)
	}
	if sup == nil || errors.Is(err, ErrNoSupervisor) {
		err = o.Host.RemoveContainer(ctx, c.ID, volumes)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody was quicker
	}
	return err
}

// Connect puts a container on one more network, at once if it runs. That it is
// there already is told from here: to its supervisor it may be a repetition.
func (o *Orchestrator) Connect(ctx context.Context, c *Container, ep netbridge.EndpointConfig) error {
	if err := c.CheckConnect(ep.Network); err != nil {
		return err
	}
	sup, err := o.Host.Supervisor(ctx, c.Spec.Project)
	if err != nil {
		return err
	}
	return sup.Connect(ctx, c.ID, ep)
}

// NewUpdate is what changes a container to a service's limits and restart
// policy; what the service leaves open stays as it is.
func NewUpdate(s types.ServiceConfig) (engine.Update, error) {
	restart, err := restartPolicy(s)
	return engine.Update{Resources: resources(s), Restart: restart}, err
}

// Disconnect takes a container off a network, at once if it runs.
func (o *Orchestrator) Disconnect(ctx context.Context, c *Container, network string) error {
	if err := c.CheckDisconnect(network); err != nil {
		return err
	}
	sup, err := o.Host.Supervisor(ctx, c.Spec.Project)
	if err != nil {
		return err
	}
	return sup.Disconnect(ctx, c.ID, network)
}
