package orchestrator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
)

// maxHookOutput is how much of a hook's output is kept for its error.
const maxHookOutput = 4 << 10

// start starts a container, and runs the commands that its service has for
// that moment.
func (o *operator) start(ctx context.Context, sup Supervisor, inst *Instance) error {
	if err := sup.Start(ctx, inst.ID); err != nil {
		return err
	}
	return o.runHooks(ctx, inst, "post_start", o.service(inst).PostStart)
}

// stop runs the commands that a container's service has for the moment before
// it stops, and stops it.
func (o *operator) stop(ctx context.Context, sup Supervisor, op StopContainer) error {
	if err := o.beforeStop(ctx, op.Instance); err != nil {
		return err
	}
	stop := func() error { return sup.Stop(ctx, op.Instance.ID, "", op.Timeout) }
	if op.Removal {
		stop = func() error { return sup.StopForRemoval(ctx, op.Instance.ID, op.Timeout) }
	}
	err := gone(stop())
	if errors.Is(err, ErrNoSupervisor) {
		// It was killed when it had stopped the last of its containers: nobody
		// is started in its place.
		return o.unlessEnded(op.Instance, err)
	}
	return err
}

// unlessEnded is err, or none where the container has ended, whoever saw to it.
func (o *operator) unlessEnded(inst *Instance, err error) error {
	if state, stateErr := o.host.State(inst.ID); stateErr == nil && state.Status == engine.Exited {
		return nil
	}
	return err
}

// restart is stop and start.
func (o *operator) restart(ctx context.Context, sup Supervisor, op RestartContainer) error {
	if err := o.beforeStop(ctx, op.Instance); err != nil {
		return err
	}
	if err := sup.Restart(ctx, op.Instance.ID, op.Timeout); err != nil {
		return err
	}
	return o.runHooks(ctx, op.Instance, "post_start", o.service(op.Instance).PostStart)
}

func (o *operator) beforeStop(ctx context.Context, inst *Instance) error {
	hooks := o.service(inst).PreStop
	if len(hooks) == 0 {
		return nil
	}
	if state, err := o.host.State(inst.ID); err != nil || state.Status != engine.Running {
		return nil // nothing can be run in it any more
	}
	return o.runHooks(ctx, inst, "pre_stop", hooks)
}

// service is the one of an instance as the file has it; empty without a file.
func (o *operator) service(inst *Instance) types.ServiceConfig {
	if o.project == nil {
		return types.ServiceConfig{}
	}
	return o.project.Services[inst.Service]
}

// runHooks runs commands inside a container one after the other, each to its
// end.
func (o *operator) runHooks(ctx context.Context, inst *Instance, event string, hooks []types.ServiceHook) error {
	for i, h := range hooks {
		out := &limited{rest: maxHookOutput}
		code, err := o.host.Exec(ctx, inst.ID, hookExec(h), Streams{Stdout: out, Stderr: out})
		if err == nil && code != 0 {
			err = fmt.Errorf("it exited with status %d: %s", code, strings.TrimSpace(out.String()))
		}
		if err != nil {
			return fmt.Errorf("services.%s.%s[%d]: container %s: %w", inst.Service, event, i, inst.Name, err)
		}
	}
	return nil
}

// hookExec is what is run for a hook.
func hookExec(h types.ServiceHook) ExecOptions {
	opts := ExecOptions{Args: h.Command, User: h.User, WorkingDir: h.WorkingDir, Privileged: h.Privileged}
	for k, v := range h.Environment {
		if v != nil {
			opts.Env = append(opts.Env, k+"="+*v)
		}
	}
	return opts
}

// limited keeps the beginning of what is written to it, from both streams of
// a process at once.
type limited struct {
	mu   sync.Mutex
	text bytes.Buffer
	rest int
}

func (l *limited) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(p), l.rest)
	l.rest -= n
	l.text.Write(p[:n])
	return len(p), nil
}

func (l *limited) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
