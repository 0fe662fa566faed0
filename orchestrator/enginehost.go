package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
	"compose/engine/image"
	"compose/internal/roots"
	"compose/netbridge"
	"compose/orchestrator/logs"
	"compose/orchestrator/supervisor/client"
	"compose/volumes"
)

// engineHost is the Host that real stacks run on.
type engineHost struct {
	engine *engine.Engine
	roots  roots.Roots
}

func (h *engineHost) Containers(ctx context.Context, project string) ([]*engine.Container, error) {
	list, err := h.engine.Containers(ctx, engine.Filter{Project: project})
	if err != nil || project == "" || !client.Abandoned(ctx, h.roots, project) {
		return list, err
	}
	return list, h.lookAfter(ctx, project, list)
}

// lookAfter starts the supervisor of a project of which both it and the keeper
// were killed, if there are containers that need one.
func (h *engineHost) lookAfter(ctx context.Context, project string, list []*engine.Container) error {
	for _, c := range list {
		state, err := h.engine.State(c.ID)
		if err != nil {
			continue // it goes just now, or whoever needs its state will say so
		}
		switch state.Status {
		case engine.Running, engine.Paused, engine.Restarting:
			sup, err := client.Connect(ctx, h.roots, project)
			if err == nil {
				sup.Close()
			}
			return err
		}
	}
	return nil
}

func (h *engineHost) Container(ctx context.Context, ref string) (*engine.Container, error) {
	return h.engine.Container(ctx, ref)
}

func (h *engineHost) State(id string) (*engine.State, error) { return h.engine.State(id) }

func (h *engineHost) CreateContainer(ctx context.Context, spec engine.ContainerSpec, ready func() error) (*engine.Container, error) {
	return h.engine.CreateContainerWhen(ctx, spec, ready)
}

func (h *engineHost) RenameContainer(_ context.Context, id, name string) error {
	return h.engine.RenameContainer(id, name)
}

func (h *engineHost) RemoveContainer(ctx context.Context, id string, anonymous bool) error {
	return h.engine.RemoveContainer(ctx, id, engine.RemoveOptions{Volumes: anonymous})
}

func (h *engineHost) Network(_ context.Context, name string) (*netbridge.Network, error) {
	n, err := h.engine.Networks().Network(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, netbridge.ErrNotFound) {
		return nil, nil
	}
	return n, err
}

func (h *engineHost) Networks(context.Context) ([]*netbridge.Network, error) {
	return h.engine.Networks().Networks()
}

func (h *engineHost) CreateNetwork(ctx context.Context, c netbridge.NetworkConfig) error {
	_, err := h.engine.Networks().CreateNetwork(ctx, c)
	if errors.Is(err, netbridge.ErrExists) {
		return nil
	}
	return err
}

func (h *engineHost) RemoveNetwork(ctx context.Context, name string) error {
	err := h.engine.Networks().RemoveNetwork(ctx, name)
	if errors.Is(err, netbridge.ErrNotFound) {
		return fmt.Errorf("network %s: %w", name, fs.ErrNotExist)
	}
	if errors.Is(err, netbridge.ErrInUse) {
		return stillUsed{err}
	}
	return err
}

// stillUsed is an error in the engine's words that matches ErrInUse.
type stillUsed struct{ error }

func (stillUsed) Is(target error) bool { return target == ErrInUse }

func (h *engineHost) Volume(_ context.Context, name string) (*Volume, error) {
	v, err := h.engine.Volumes().Get(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &Volume{Name: v.Name, Labels: v.Labels}, nil
}

func (h *engineHost) Volumes(context.Context) ([]*Volume, error) {
	list, err := h.engine.Volumes().List()
	if err != nil {
		return nil, err
	}
	named := make([]*Volume, 0, len(list))
	for _, v := range list {
		named = append(named, &Volume{Name: v.Name, Labels: v.Labels})
	}
	return named, nil
}

func (h *engineHost) CreateVolume(_ context.Context, name string, v types.VolumeConfig, labels map[string]string) error {
	_, err := h.engine.Volumes().Create(volumes.Config{Name: name, Driver: v.Driver, Options: v.DriverOpts, Labels: labels})
	return err
}

func (h *engineHost) RemoveVolume(ctx context.Context, name string) error {
	users, err := h.engine.VolumeUsers(ctx, name)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return stillUsed{&volumes.InUseError{Name: name, By: users}}
	}
	return h.engine.Volumes().Remove(name)
}

func (h *engineHost) ImageID(ctx context.Context, ref string) (string, error) {
	img, err := h.engine.Images().Get(ctx, ref)
	var missing *image.NotFoundError
	if errors.As(err, &missing) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return img.ID, nil
}

func (h *engineHost) RemoveImage(ctx context.Context, ref string) error {
	_, err := h.engine.Images().Remove(ctx, ref, image.RemoveOptions{InUse: func(id string) []string {
		users, err := h.engine.ImageUsers(ctx, id)
		if err != nil {
			return []string{"(unknown: " + err.Error() + ")"}
		}
		return users
	}})
	var missing *image.NotFoundError
	if errors.As(err, &missing) {
		return fmt.Errorf("image %s: %w", ref, fs.ErrNotExist)
	}
	var used *image.InUseError
	if errors.As(err, &used) {
		return stillUsed{err}
	}
	return err
}

func (h *engineHost) PullImage(ctx context.Context, ref, platform string, report Reporter) error {
	_, err := h.engine.Images().Pull(ctx, ref, image.PullOptions{Platform: platform, Progress: layerEvents(ref, report)})
	return err
}

func (h *engineHost) PushImage(ctx context.Context, ref string, report Reporter) error {
	_, err := h.engine.Images().Push(ctx, ref, image.PushOptions{Progress: layerEvents(ref, report)})
	return err
}

// settled are the words for a layer that nothing more will become of.
var settled = []string{"Pull complete", "Already exists", "Pushed", "Layer already exists"}

// layerEvents passes on what becomes of an image's layers.
func layerEvents(ref string, report Reporter) func(image.Progress) {
	return func(p image.Progress) {
		if report == nil || p.Layer == "" {
			return
		}
		status := Working
		switch {
		case slices.Contains(settled, p.Status), strings.HasPrefix(p.Status, "Mounted from "):
			status = Done
		}
		report(Event{ID: p.Layer, Parent: "Image " + ref, Status: status, Text: p.Status, Current: p.Current, Total: p.Total})
	}
}

func (h *engineHost) CheckPorts(ports []netbridge.PortMapping, except ...string) error {
	return h.engine.Networks().CheckPorts(ports, except...)
}

func (h *engineHost) Logs(ctx context.Context, id string, opts LogOptions, emit func(LogLine)) error {
	read := logs.Options{Tail: opts.Tail, Since: opts.Since, Until: opts.Until, Follow: opts.Follow, Sync: opts.Sync, Idle: opts.Idle}
	return logs.Read(ctx, h.engine.LogPath(id), read, func(e logs.Entry) {
		emit(LogLine{Text: e.Log, Stream: e.Stream, Time: e.Time})
	})
}
