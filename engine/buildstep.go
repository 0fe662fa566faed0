package engine

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"

	"compose/engine/build"
	"compose/engine/runtime"
	"compose/internal/fault"
	"compose/netbridge"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Builder builds images whose RUN steps run in containers of this engine.
func (e *Engine) Builder() *build.Builder {
	_ = e.SweepBuilds(context.Background()) // what fails is tried again by the next command
	return build.New(e.images, stepRunner{e}, e.roots)
}

// stepRunner runs RUN steps.
type stepRunner struct{ engine *Engine }

// Begin implements build.Runner.
func (r stepRunner) Begin() build.Steps {
	return &buildSteps{engine: r.engine, sides: &stepSides{engine: r.engine}}
}

// buildSteps runs the RUN steps of one build.
type buildSteps struct {
	engine *Engine
	sides  *stepSides
}

// Expect implements build.Steps.
func (b *buildSteps) Expect(n int) { b.sides.expect(n) }

// End implements build.Steps.
func (b *buildSteps) End() error { return b.sides.end() }

// Run implements build.Steps.
func (b *buildSteps) Run(ctx context.Context, step build.RunSpec) (err error) {
	e := b.engine
	side, err := b.sides.take(ctx, step.Network)
	if err != nil {
		return err
	}
	defer b.sides.give(side)
	c := &Container{ID: side.id, Spec: ContainerSpec{
		Name: stepName(side.id), Hostname: step.Hostname, ExtraHosts: step.ExtraHosts, NetworkMode: step.Network, Privileged: step.Privileged,
		Entrypoint: step.Args, Env: step.Env, User: step.User, WorkingDir: step.Dir,
	}}
	if c.Spec.Hostname == "" {
		c.Spec.Hostname = "buildkitsandbox"
	}
	if step.CgroupParent != "" {
		if err := os.WriteFile(filepath.Join(side.dir, stepParentFile), []byte(step.CgroupParent), 0o600); err != nil {
			return err
		}
	}
	var endpoints []netbridge.Endpoint
	var netns *os.File
	if side.sandbox != nil {
		endpoints, netns = side.sandbox.Endpoints(), side.sandbox.NetNS()
	}
	if err := writeNameFiles(side.dir, c, endpoints); err != nil {
		return err
	}
	spec, err := e.stepSpec(c, side.dir, step)
	if err != nil {
		return err
	}
	path := e.stepCgroup(side.id, step.CgroupParent)
	defer func() { err = errors.Join(err, runtime.DeleteCgroup(path)) }()
	return runStep(ctx, runtime.Config{ID: c.ID, Spec: spec, RootFS: step.RootFS, NetNS: netns, CgroupPath: path}, step.Stdout, step.Stderr)
}

func (e *Engine) stepSpec(c *Container, dir string, step build.RunSpec) (*specs.Spec, error) {
	spec, held, err := e.runtimeSpec(c)
	if err != nil {
		return nil, err
	}
	held.close() // a step mounts no part of a volume
	for i := range spec.Mounts {
		m := &spec.Mounts[i]
		switch m.Destination {
		case "/etc/hosts", "/etc/hostname", "/etc/resolv.conf":
			m.Source = filepath.Join(dir, filepath.Base(m.Destination))
		}
	}
	spec.Mounts = append(spec.Mounts, step.Mounts...)
	spec.Process.Rlimits = step.Ulimits
	return spec, nil
}

// runStep runs the process to its end. When ctx ends first, every process of
// the step is killed.
func runStep(ctx context.Context, cfg runtime.Config, stdout, stderr io.Writer) error {
	var copies sync.WaitGroup
	sink := func(w io.Writer) (*os.File, error) {
		out, in, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		copies.Go(func() {
			_, _ = io.Copy(w, out)
			out.Close()
		})
		return in, nil
	}
	var err error
	if cfg.Stdout, err = sink(stdout); err != nil {
		return err
	}
	if cfg.Stderr, err = sink(stderr); err != nil {
		cfg.Stdout.Close()
		return err
	}
	created, err := runtime.Create(cfg)
	cfg.Stdout.Close()
	cfg.Stderr.Close()
	if err != nil {
		return err
	}
	defer created.PIDFD.Close()
	fault.Point("step: created")
	if err := created.Start(); err != nil {
		created.Discard()
		return err
	}
	fault.Point("step: running")
	stop := context.AfterFunc(ctx, func() { _ = runtime.KillAll(cfg.CgroupPath) })
	status, err := runtime.Reap(created.PID)
	fault.Point("step: ended")
	stop()
	// What the process has left behind in its cgroup holds the pipes too.
	if killErr := runtime.KillAll(cfg.CgroupPath); err == nil {
		err = killErr
	}
	copies.Wait()
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case status.Signaled():
		return &build.ExitError{Code: 128 + int(status.Signal())}
	case status.ExitStatus() != 0:
		return &build.ExitError{Code: status.ExitStatus()}
	}
	return nil
}
