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
	"compose/netbridge"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// buildNetwork is the network of RUN steps. It exists only while steps run.
const buildNetwork = "compose-build"

// Builder builds images whose RUN steps run in containers of this engine.
func (e *Engine) Builder() *build.Builder { return build.New(e.images, &stepRunner{e}, e.roots) }

// stepRunner runs RUN steps.
type stepRunner struct{ engine *Engine }

// Run implements build.Runner.
func (r *stepRunner) Run(ctx context.Context, step build.RunSpec) (err error) {
	e := r.engine
	c := &Container{ID: step.ID, Spec: ContainerSpec{
		Name: "build-" + step.ID[:12], Hostname: step.Hostname, ExtraHosts: step.ExtraHosts, NetworkMode: step.Network, Privileged: step.Privileged,
		Entrypoint: step.Args, Env: step.Env, User: step.User, WorkingDir: step.Dir,
	}}
	if c.Spec.Hostname == "" {
		c.Spec.Hostname = "buildkitsandbox"
	}
	dir, err := os.MkdirTemp(e.roots.Run, "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sandbox, err := r.network(ctx, c)
	if err != nil {
		return fmt.Errorf("give the step a network: %w", err)
	}
	var endpoints []netbridge.Endpoint
	var netns *os.File
	if sandbox != nil {
		endpoints, netns = sandbox.Endpoints(), sandbox.NetNS()
		defer func() { err = errors.Join(err, r.closeNetwork(sandbox)) }()
	}
	if err := writeNameFiles(dir, c, endpoints); err != nil {
		return err
	}
	spec, err := e.stepSpec(c, dir, step)
	if err != nil {
		return err
	}
	path := filepath.Join(e.cgroupParent(), c.Spec.Name)
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

func (r *stepRunner) closeNetwork(s *netbridge.Sandbox) error {
	ctx := context.Background()
	if err := s.Close(ctx); err != nil {
		return err
	}
	err := r.engine.networks.RemoveNetwork(ctx, buildNetwork)
	if errors.Is(err, netbridge.ErrInUse) || errors.Is(err, netbridge.ErrNotFound) {
		return nil // other steps run, or the last of them was faster
	}
	return err
}

func (e *Engine) stepSpec(c *Container, dir string, step build.RunSpec) (*specs.Spec, error) {
	spec, err := e.runtimeSpec(c)
	if err != nil {
		return nil, err
	}
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
	if err := created.Start(); err != nil {
		created.Discard()
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = runtime.KillAll(cfg.CgroupPath) })
	status, err := runtime.Reap(created.PID)
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
