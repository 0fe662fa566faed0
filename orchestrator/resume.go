package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"compose/engine"
)

// Resume brings back what the restart policies of containers ask for after the
// host was started anew: "always", and "unless-stopped" where nobody stopped
// it. A supervisor that starts finds out what has become of the others.
func (o *Orchestrator) Resume(ctx context.Context, list []*engine.Container) error {
	projects := map[string][]*engine.Container{}
	for _, c := range list {
		projects[c.Spec.Project] = append(projects[c.Spec.Project], c)
	}
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(projects)) {
		if err := o.resume(ctx, name, projects[name]); err != nil {
			failed = append(failed, fmt.Errorf("project %s: %w", name, err))
		}
	}
	return errors.Join(failed...)
}

func (o *Orchestrator) resume(ctx context.Context, project string, list []*engine.Container) error {
	lock, err := o.lock(project)
	if err != nil {
		return err
	}
	defer lock.unlock()
	var wanted []*engine.Container
	for _, c := range list {
		state, err := o.Host.State(c.ID)
		if err != nil {
			return err
		}
		policy := c.Spec.Restart.Name
		started := state.Status != engine.Created
		if policy == "always" && started || policy == "unless-stopped" && started && !state.StoppedByHand {
			wanted = append(wanted, c)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	sup, err := o.Host.Supervisor(ctx, project)
	if err != nil {
		return err
	}
	var group errgroup.Group
	for _, c := range wanted {
		group.Go(func() error {
			o.Report.send("Container "+c.Spec.Name, Working, "Starting", "")
			if err := sup.Start(ctx, c.ID); err != nil {
				o.Report.send("Container "+c.Spec.Name, Failed, "Error", err.Error())
				return err
			}
			o.Report.send("Container "+c.Spec.Name, Done, "Started", "")
			return nil
		})
	}
	return group.Wait()
}
