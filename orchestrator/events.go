package orchestrator

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ContainerEvent is something that happened to a container of a project.
type ContainerEvent struct {
	Time       time.Time
	ID         string
	Service    string
	Action     string // "start", "die", "health_status: healthy", ...
	Attributes map[string]string
}

// comeback is how often a project without a supervisor is looked at: it has
// one as soon as something of it runs.
const comeback = 100 * time.Millisecond

// Events calls emit for what happens to the containers of a project from since
// on, until ctx ends or until has come; a zero since is now, a zero until never.
// What a supervisor remembers of former times are its last few hundred events.
func (o *Orchestrator) Events(ctx context.Context, sel Selection, since, until time.Time, emit func(ContainerEvent) error) error {
	for _, name := range sel.Services {
		if sel.Project != nil && !hasService(sel.Project, name) {
			return NoSuchServiceError(name)
		}
	}
	if since.IsZero() {
		since = time.Now()
	}
	var end <-chan time.Time
	if !until.IsZero() {
		end = time.After(time.Until(until))
	}
	services := map[string]*Container{} // by ID, also of those that are gone since
	next := func(e ContainerEvent) error {
		since = e.Time.Add(1) // what a later connection must not repeat
		if len(sel.Services) > 0 && !slices.Contains(sel.Services, e.Service) {
			return nil
		}
		return emit(e)
	}
	for {
		sup, err := o.Host.RunningSupervisor(ctx, sel.Name)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if sup != nil {
			if err := o.follow(ctx, sup, sel, since, until, services, next); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-end:
			return nil
		case <-time.After(comeback):
		}
	}
}

// follow passes on the events of one supervisor until it leaves.
func (o *Orchestrator) follow(ctx context.Context, sup Supervisor, sel Selection, since, until time.Time, known map[string]*Container, emit func(ContainerEvent) error) error {
	events, err := sup.Events(ctx, since, until)
	if errors.Is(err, ErrNoSupervisor) || ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	list, err := observeContainers(ctx, o.Host, sel.Name)
	if err != nil {
		return err
	}
	for _, c := range list {
		known[c.ID] = c
	}
	for e := range events {
		c := known[e.ID]
		if c == nil {
			if c, err = o.Find(ctx, e.ID); err != nil {
				continue // it has gone as soon as it came
			}
			known[e.ID] = c
		}
		out := ContainerEvent{Time: e.Time, ID: e.ID, Service: c.Service, Action: e.Action, Attributes: map[string]string{"image": c.Spec.Image, "name": c.Name()}}
		for k, v := range e.Attributes {
			if k != "restarting" {
				out.Attributes[k] = v
			}
		}
		if err := emit(out); err != nil {
			return err
		}
	}
	return nil
}
