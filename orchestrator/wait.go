package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sync/errgroup"

	"compose/engine"
)

// DependencyError says which dependency did not come to what depends_on asks.
type DependencyError struct {
	Service string
	Reason  error
}

func (e *DependencyError) Error() string { return "dependency failed to start: " + e.Reason.Error() }
func (e *DependencyError) Unwrap() error { return e.Reason }

// waitFor waits until the containers of a service meet a condition.
func (o *operator) waitFor(ctx context.Context, op WaitFor) error {
	for _, inst := range op.Instances {
		o.report.send("Container "+inst.Name, Working, "Waiting", "")
	}
	g, waitCtx := errgroup.WithContext(ctx)
	for _, inst := range op.Instances {
		g.Go(func() error { return o.waitForOne(waitCtx, op, inst) })
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		end := "Healthy"
		if op.Condition == types.ServiceConditionCompletedSuccessfully {
			end = "Exited"
		}
		for _, inst := range op.Instances {
			o.report.send("Container "+inst.Name, Done, end, "")
		}
		return nil
	}
	if !op.Required {
		text := fmt.Sprintf("optional dependency %q failed to start", op.Service)
		for _, inst := range op.Instances {
			o.report.send("Container "+inst.Name, Warning, "Skipped: "+text, "")
		}
		if o.warn != nil {
			o.warn(text + ": " + err.Error())
		}
		return nil
	}
	for _, inst := range op.Instances {
		detail := fmt.Sprintf("dependency %s failed to start", op.Service)
		if op.Condition == types.ServiceConditionCompletedSuccessfully {
			detail = err.Error()
		}
		o.report.send("Container "+inst.Name, Failed, "Error", detail)
	}
	if op.Condition == types.ServiceConditionHealthy {
		err = &DependencyError{Service: op.Service, Reason: err}
	}
	return err
}

func (o *operator) waitForOne(ctx context.Context, op WaitFor, inst *Instance) error {
	for told := false; ; told = true {
		state, err := o.host.State(inst.ID)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("container %s was removed", inst.Name)
		}
		if err != nil {
			return err
		}
		// The process of one that ended just now may be gone before its end has
		// come to the record: only its supervisor knows how it ended.
		if told || state.Status != engine.Exited {
			done, err := met(op, inst, state, o.container(inst.ID))
			if done || err != nil {
				return err
			}
		}
		// The supervisor answers when something may have changed; what is true
		// then is read again.
		sup, err := o.supervisor(ctx)
		if err != nil {
			return err
		}
		condition := "healthy"
		if op.Condition == types.ServiceConditionCompletedSuccessfully {
			condition = "not-running"
		}
		if _, err := sup.Wait(ctx, inst.ID, condition); err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// met says whether a container's state is what the condition asks, and fails
// where it will not come to that.
func met(op WaitFor, inst *Instance, s *engine.State, c *engine.Container) (bool, error) {
	if op.Condition == types.ServiceConditionCompletedSuccessfully {
		switch {
		case s.Status == engine.Created:
			return false, fmt.Errorf("container %s has not been started", inst.Name)
		case s.Status != engine.Exited && s.Status != engine.Dead:
			return false, nil
		case s.ExitCode != 0:
			return false, fmt.Errorf("service %q didn't complete successfully: exit %d", op.Service, s.ExitCode)
		}
		return true, nil
	}
	switch s.Status {
	case engine.Exited, engine.Dead:
		return false, fmt.Errorf("container %s exited (%d)", inst.Name, s.ExitCode)
	case engine.Created:
		return false, fmt.Errorf("container %s has not been started", inst.Name)
	}
	if !hasHealthcheck(c) {
		if op.Condition == runningOrHealthy {
			return s.Status == engine.Running, nil
		}
		return false, fmt.Errorf("container %s has no healthcheck configured", inst.Name)
	}
	if s.Health == nil {
		return false, nil
	}
	switch s.Health.Status {
	case "healthy":
		return true, nil
	case "unhealthy":
		return false, fmt.Errorf("container %s is unhealthy", inst.Name)
	}
	return false, nil
}

func hasHealthcheck(c *engine.Container) bool {
	return c != nil && c.Spec.Health != nil && len(c.Spec.Health.Test) > 0 && c.Spec.Health.Test[0] != "NONE"
}
