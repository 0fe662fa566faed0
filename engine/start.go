package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"compose/engine/external"
	"compose/engine/image"
	"compose/engine/runtime"
	"compose/internal/fault"
	"compose/internal/trace"
	"compose/netbridge"
)

// Stdio is what a process's standard streams are connected to; nil is
// /dev/null. With a terminal they are not used.
type Stdio struct{ Stdin, Stdout, Stderr *os.File }

// Started is a container that runs. Its process is a child of the caller.
type Started struct {
	PID        int
	PIDFD      *os.File
	StartTicks uint64
	Console    *os.File           // the terminal's master side, or nil
	Sandbox    *netbridge.Sandbox // nil where the container has no network of its own

	// Orphan says that the process is no child of the caller: another runtime
	// has made it and left it to whoever adopts orphans.
	Orphan bool

	runtime *external.Runtime // nil: the built-in one
}

// Start runs a container, as Container has it: its network side, its name files,
// its process. The process is the caller's child, but for Started.Orphan. born is
// called, but for another runtime's, when the process has a number, while it is being
// set up: what is in Started then is what will be there if all goes well. made is
// called when all is there and the process waits to be let go: whoever dies before
// it has noted it there has started nothing, for the process ends with it. (One of
// another runtime waits: see NotLetGo.) What was made is undone where a later step
// fails. A program that cannot be run gives a *runtime.ExecError.
func (e *Engine) Start(ctx context.Context, c *Container, stdio Stdio, born, made func(*Started)) (*Started, error) {
	reading := trace.Begin("read the container's image", c.ID)
	lowers, err := e.lowers(ctx, c.ImageID)
	var gone *image.NotFoundError
	if errors.As(err, &gone) {
		return nil, fmt.Errorf("the image of container %s is gone: create the container again", c.Spec.Name)
	}
	if err != nil {
		return nil, err
	}
	reading.End()
	// An earlier life of which nobody knows: all who did died with its start.
	if err := runtime.DeleteCgroup(e.cgroupPath(c)); err != nil {
		return nil, err
	}
	userns, err := e.userNamespace(c)
	if err != nil {
		return nil, err
	}
	defer userns.Close() // which nil bears
	other, err := e.externalRuntime(c)
	if err != nil {
		return nil, err
	}
	var group *runtime.Cgroup
	if other == nil {
		group = runtime.BeginCgroup(e.cgroupPath(c)) // beside the network
	}
	defer func() { _ = group.Wait() }() // what is wrong with it the runtime finds again
	networking := trace.Begin("make its network", c.ID)
	sandbox, err := e.sandbox(ctx, c, userns)
	networking.End()
	var running *Started
	if err == nil {
		running, err = e.startIn(c, other, group, lowers, userns, sandbox, stdio, born, made)
	}
	if err != nil {
		if sandbox != nil {
			err = errors.Join(err, sandbox.Close(ctx))
		}
		_ = group.Wait()
		if cleanErr := runtime.DeleteCgroup(e.cgroupPath(c)); cleanErr != nil {
			err = errors.Join(err, cleanErr)
		}
		return nil, err
	}
	return running, nil
}

func (e *Engine) startIn(c *Container, other *external.Runtime, group *runtime.Cgroup, lowers []string, userns *os.File, sandbox *netbridge.Sandbox, stdio Stdio, born, made func(*Started)) (*Started, error) {
	var endpoints []netbridge.Endpoint
	var netns *os.File
	if sandbox != nil {
		endpoints, netns = sandbox.Endpoints(), sandbox.NetNS()
	}
	naming := trace.Begin("write its name files", c.ID)
	err := writeNameFiles(e.dir(c.ID), c, endpoints)
	naming.End()
	if err != nil {
		return nil, err
	}
	spec, held, err := e.runtimeSpec(c)
	if err != nil {
		return nil, err
	}
	defer held.close()
	fault.Point("start: sandbox made")
	cfg := runtime.Config{
		ID: c.ID, Spec: spec, NetNS: netns, UserNS: userns, CgroupPath: e.cgroupPath(c), Cgroup: group, Groups: c.Spec.GroupAdd, Init: c.Spec.Init,
		RootFS: runtime.RootFS{Lowers: lowers, Upper: filepath.Join(e.dir(c.ID), "upper"), Work: filepath.Join(e.dir(c.ID), "work"), IDMap: userns != nil},
		Stdin:  stdio.Stdin, Stdout: stdio.Stdout, Stderr: stdio.Stderr,
		Born: func(pid int) { born(&Started{PID: pid, StartTicks: runtime.StartTicks(pid), Sandbox: sandbox}) },
	}
	if other != nil {
		return startExternal(other, cfg, sandbox, made)
	}
	created, err := runtime.Create(cfg)
	if err != nil {
		return nil, err
	}
	fault.Point("start: created")
	run := &Started{PID: created.PID, PIDFD: created.PIDFD, StartTicks: created.StartTicks, Console: created.Console, Sandbox: sandbox}
	made(run)
	fault.Point("start: made known")
	executing := trace.Begin("execute its program", c.ID)
	err = created.Start()
	executing.End()
	if err != nil {
		if created.Console != nil {
			created.Console.Close()
		}
		created.Discard()
		return nil, err
	}
	fault.Point("start: running")
	return run, nil
}

// sandbox makes the network side of a container that has one of its own.
func (e *Engine) sandbox(ctx context.Context, c *Container, userns *os.File) (*netbridge.Sandbox, error) {
	cfg, ok, err := e.sandboxConfig(c)
	if err != nil || !ok {
		return nil, err
	}
	if userns != nil {
		cfg.NewNS = func() (*os.File, error) { return runtime.NewNetNS(userns) }
	}
	// What a crash has left of an earlier start is given back first.
	if err := e.networks.Release(ctx, c.ID); err != nil {
		return nil, err
	}
	for {
		onDefault := false
		for _, ep := range cfg.Endpoints {
			if err := e.ensureNetwork(ctx, ep.Network); err != nil {
				return nil, err
			}
			onDefault = onDefault || ep.Network == DefaultNetwork
		}
		s, err := e.networks.NewSandbox(ctx, cfg)
		// The last container on the default network takes it away.
		if !onDefault || !errors.Is(err, netbridge.ErrNotFound) {
			return s, err
		}
	}
}

// ownNetwork says that the container has a network namespace of its own.
func (c *Container) ownNetwork() bool {
	return c.Spec.NetworkMode != "host" && !strings.HasPrefix(c.Spec.NetworkMode, "container:")
}

func (e *Engine) sandboxConfig(c *Container) (netbridge.SandboxConfig, bool, error) {
	if !c.ownNetwork() {
		return netbridge.SandboxConfig{}, false, nil
	}
	servers, err := upstream(c.Spec.DNS)
	if err != nil {
		return netbridge.SandboxConfig{}, false, err
	}
	cfg := netbridge.SandboxConfig{
		ContainerID: c.ID, ContainerName: c.Spec.Name, Endpoints: c.Spec.Networks, Ports: c.Spec.Ports,
		Loopback: c.Spec.NetworkMode == "none", Upstream: servers, Sysctls: map[string]string{},
	}
	if c.Spec.NetworkMode == "none" {
		cfg.Endpoints, cfg.Ports = nil, nil
	} else if len(cfg.Endpoints) == 0 {
		cfg.Loopback = true
	}
	for k, v := range c.Spec.Sysctls {
		if strings.HasPrefix(k, "net.") {
			cfg.Sysctls[k] = v
		}
	}
	return cfg, true, nil
}

// Adopt takes over a container that another process of ours has started and
// that still runs; files are what its Sandbox gave for safekeeping.
func (e *Engine) Adopt(ctx context.Context, id string, files map[string]*os.File) (*Started, error) {
	c, err := e.read(id)
	if err != nil {
		return nil, err
	}
	s, err := e.State(id)
	if err != nil {
		return nil, err
	}
	pidfd, err := unix.PidfdOpen(s.PID, 0)
	if err != nil {
		return nil, fmt.Errorf("container %s: its process is gone: %w", c.Spec.Name, err)
	}
	if !Alive(s.PID, s.PIDStart) {
		unix.Close(pidfd)
		return nil, fmt.Errorf("container %s: its process is gone", c.Spec.Name)
	}
	r := &Started{PID: s.PID, PIDFD: os.NewFile(uintptr(pidfd), "pidfd"), StartTicks: s.PIDStart}
	if r.runtime, err = e.externalRuntime(c); err != nil {
		r.runtime, err = nil, nil // it was uninstalled: the process can still be signalled
	}
	cfg, ok, err := e.sandboxConfig(c)
	if err == nil && ok {
		r.Sandbox, err = e.networks.Adopt(ctx, cfg, s.PID, s.Endpoints, s.Ports, files)
	}
	if err != nil {
		r.PIDFD.Close()
		return nil, err
	}
	return r, nil
}

// Kill sends a signal to the container's first process.
func (e *Engine) Kill(r *Started, sig unix.Signal) error {
	if r.runtime != nil && r.runtime.Kill(sig) == nil {
		return nil
	}
	return runtime.Signal(r.PIDFD, sig)
}

// KillAll ends every process of the container.
func (e *Engine) KillAll(c *Container) error { return runtime.KillAll(e.cgroupPath(c)) }

// Pause freezes a container, and Resume lets it go on.
func (e *Engine) Pause(c *Container) error { return runtime.Pause(e.cgroupPath(c)) }

// Resume undoes Pause.
func (e *Engine) Resume(c *Container) error { return runtime.Resume(e.cgroupPath(c)) }

// OOMKilled says whether the kernel killed one of the container's processes
// for want of memory.
func (e *Engine) OOMKilled(c *Container) bool { return runtime.OOMKilled(e.cgroupPath(c)) }

// PIDs are the container's processes by their numbers on the host.
func (e *Engine) PIDs(c *Container) ([]int, error) { return runtime.Pids(e.cgroupPath(c)) }
