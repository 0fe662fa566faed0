package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"compose/engine/runtime"
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
}

// Start runs a container: its network side, its name files, its process. What
// was made is undone where a later step fails. A program that cannot be run
// gives a *runtime.ExecError.
func (e *Engine) Start(ctx context.Context, id string, stdio Stdio) (*Started, error) {
	c, err := e.read(id)
	if err != nil {
		return nil, err
	}
	img, err := e.images.Get(ctx, c.ImageID)
	if err != nil {
		return nil, fmt.Errorf("the image of container %s is gone: create the container again", c.Spec.Name)
	}
	lowers, err := e.images.Lowers(ctx, img)
	if err != nil {
		return nil, err
	}
	sandbox, err := e.sandbox(ctx, c)
	if err != nil {
		return nil, err
	}
	running, err := e.startIn(c, lowers, sandbox, stdio)
	if err != nil {
		if sandbox != nil {
			err = errors.Join(err, sandbox.Close(ctx))
		}
		if cleanErr := runtime.DeleteCgroup(e.cgroupPath(c)); cleanErr != nil {
			err = errors.Join(err, cleanErr)
		}
		return nil, err
	}
	running.Sandbox = sandbox
	return running, nil
}

func (e *Engine) startIn(c *Container, lowers []string, sandbox *netbridge.Sandbox, stdio Stdio) (*Started, error) {
	var endpoints []netbridge.Endpoint
	var netns *os.File
	if sandbox != nil {
		endpoints, netns = sandbox.Endpoints(), sandbox.NetNS()
	}
	if err := writeNameFiles(e.dir(c.ID), c, endpoints); err != nil {
		return nil, err
	}
	spec, err := e.runtimeSpec(c)
	if err != nil {
		return nil, err
	}
	created, err := runtime.Create(runtime.Config{
		ID: c.ID, Spec: spec, NetNS: netns, CgroupPath: e.cgroupPath(c), Groups: c.Spec.GroupAdd, Init: c.Spec.Init,
		RootFS: runtime.RootFS{Lowers: lowers, Upper: filepath.Join(e.dir(c.ID), "upper"), Work: filepath.Join(e.dir(c.ID), "work")},
		Stdin:  stdio.Stdin, Stdout: stdio.Stdout, Stderr: stdio.Stderr,
	})
	if err != nil {
		return nil, err
	}
	if err := created.Start(); err != nil {
		if created.Console != nil {
			created.Console.Close()
		}
		created.Discard()
		return nil, err
	}
	return &Started{PID: created.PID, PIDFD: created.PIDFD, StartTicks: created.StartTicks, Console: created.Console}, nil
}

// sandbox makes the network side of a container that has one of its own.
func (e *Engine) sandbox(ctx context.Context, c *Container) (*netbridge.Sandbox, error) {
	cfg, ok, err := e.sandboxConfig(c)
	if err != nil || !ok {
		return nil, err
	}
	// What a crash has left of an earlier start is given back first.
	if err := e.networks.Release(ctx, c.ID); err != nil {
		return nil, err
	}
	for _, ep := range cfg.Endpoints {
		if err := e.networks.EnsureUp(ctx, ep.Network); err != nil {
			return nil, err
		}
	}
	return e.networks.NewSandbox(ctx, cfg)
}

func (e *Engine) sandboxConfig(c *Container) (netbridge.SandboxConfig, bool, error) {
	mode := c.Spec.NetworkMode
	if mode == "host" || strings.HasPrefix(mode, "container:") {
		return netbridge.SandboxConfig{}, false, nil
	}
	servers, err := upstream(c.Spec.DNS)
	if err != nil {
		return netbridge.SandboxConfig{}, false, err
	}
	cfg := netbridge.SandboxConfig{
		ContainerID: c.ID, ContainerName: c.Spec.Name, Endpoints: c.Spec.Networks, Ports: c.Spec.Ports,
		Loopback: mode == "none", Upstream: servers, Sysctls: map[string]string{},
	}
	if mode == "none" {
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
func (e *Engine) Kill(r *Started, sig unix.Signal) error { return runtime.Signal(r.PIDFD, sig) }

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
