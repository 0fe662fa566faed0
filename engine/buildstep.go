package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"compose/engine/build"
	"compose/engine/runtime"
	"compose/engine/runtime/cgroup"
	"compose/internal/fault"
	"compose/netbridge"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// buildNetwork is the network of RUN steps. It exists only while steps run.
const buildNetwork = "compose-build"

// Builder builds images whose RUN steps run in containers of this engine.
func (e *Engine) Builder() *build.Builder {
	_ = e.SweepBuilds(context.Background()) // what fails is tried again by the next command
	return build.New(e.images, &stepRunner{engine: e}, e.roots)
}

// stepRunner runs RUN steps.
type stepRunner struct {
	engine *Engine

	mu      sync.Mutex
	builds  int
	release func() // of the claim that the network's removal is ours
}

// Begin implements build.Runner. The network of the steps lasts as long as
// builds do: making and removing it for each step would take longer than many
// a step.
func (r *stepRunner) Begin() (end func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.builds++
	return func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.builds--; r.builds > 0 || r.release == nil {
			return nil
		}
		err := r.engine.dropBuildNetwork(context.Background())
		r.release()
		r.release = nil
		return err
	}
}

// claim notes on disk that the network is to be removed, whatever becomes of
// this process.
func (r *stepRunner) claim() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.release != nil {
		return nil
	}
	_, release, err := r.engine.claimStep(newID())
	r.release = release
	return err
}

// Run implements build.Runner.
func (r *stepRunner) Run(ctx context.Context, step build.RunSpec) (err error) {
	e := r.engine
	c := &Container{ID: step.ID, Spec: ContainerSpec{
		Name: stepName(step.ID), Hostname: step.Hostname, ExtraHosts: step.ExtraHosts, NetworkMode: step.Network, Privileged: step.Privileged,
		Entrypoint: step.Args, Env: step.Env, User: step.User, WorkingDir: step.Dir,
	}}
	if c.Spec.Hostname == "" {
		c.Spec.Hostname = "buildkitsandbox"
	}
	dir, release, err := e.claimStep(step.ID)
	if err != nil {
		return err
	}
	defer release()
	if step.CgroupParent != "" {
		if err := os.WriteFile(filepath.Join(dir, stepParentFile), []byte(step.CgroupParent), 0o600); err != nil {
			return err
		}
	}
	sandbox, err := r.network(ctx, c)
	if err != nil {
		return fmt.Errorf("give the step a network: %w", err)
	}
	var endpoints []netbridge.Endpoint
	var netns *os.File
	if sandbox != nil {
		endpoints, netns = sandbox.Endpoints(), sandbox.NetNS()
		defer func() { err = errors.Join(err, sandbox.Close(context.Background())) }()
	}
	if err := writeNameFiles(dir, c, endpoints); err != nil {
		return err
	}
	spec, err := e.stepSpec(c, dir, step)
	if err != nil {
		return err
	}
	path := e.stepCgroup(step.ID, step.CgroupParent)
	defer func() {
		err = errors.Join(err, runtime.DeleteCgroup(path), cgroup.DeleteParent(e.cgroupParent()))
	}()
	return runStep(ctx, runtime.Config{ID: c.ID, Spec: spec, RootFS: step.RootFS, NetNS: netns, CgroupPath: path}, step.Stdout, step.Stderr)
}

// network makes the step's own network side; nil is the host's.
func (r *stepRunner) network(ctx context.Context, c *Container) (*netbridge.Sandbox, error) {
	n := r.engine.networks
	cfg := netbridge.SandboxConfig{ContainerID: c.ID, ContainerName: c.Spec.Name}
	switch c.Spec.NetworkMode {
	case "host":
		return nil, nil
	case "none":
		cfg.Loopback = true
		return n.NewSandbox(ctx, cfg)
	}
	if err := r.claim(); err != nil {
		return nil, err
	}
	cfg.Endpoints = []netbridge.EndpointConfig{{Network: buildNetwork}}
	for {
		if _, err := n.CreateNetwork(ctx, netbridge.NetworkConfig{Name: buildNetwork}); err != nil && !errors.Is(err, netbridge.ErrExists) {
			return nil, err
		}
		sandbox, err := n.NewSandbox(ctx, cfg)
		// Another build's last step may have taken the network away meanwhile.
		if !errors.Is(err, netbridge.ErrNotFound) {
			return sandbox, err
		}
	}
}

// dropBuildNetwork removes the network of steps after the last of them.
func (e *Engine) dropBuildNetwork(ctx context.Context) error {
	err := e.networks.RemoveNetwork(ctx, buildNetwork)
	if errors.Is(err, netbridge.ErrInUse) || errors.Is(err, netbridge.ErrNotFound) {
		return nil // other builds go on, or the last of them was faster
	}
	return err
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
