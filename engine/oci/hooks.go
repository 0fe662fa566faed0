package oci

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine/runtime"
	"compose/internal/timerslack"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// beforePivot runs the hooks that belong between the making of the container's
// namespaces and the change of its root.
func (c *container) beforePivot(pid int) error {
	// To the OCI a container is created once its namespaces are there.
	c.Pid, c.Status = pid, specs.StateCreated
	defer func() { c.Pid = 0 }()
	h := c.Spec.Hooks
	//lint:ignore SA1019 old, and still in use
	if err := c.runHooks("prestart", h.Prestart); err != nil {
		return err
	}
	if err := c.runHooks("createRuntime", h.CreateRuntime); err != nil {
		return err
	}
	if len(h.CreateContainer) == 0 {
		return nil
	}
	return runtime.InNamespaces(pid, func() error { return c.runHooks("createContainer", h.CreateContainer) })
}

// startContainer runs the hooks that are programs of the container's own: in
// it, and confined as its process is.
func (c *container) startContainer() error {
	if c.Spec.Hooks == nil {
		return nil
	}
	for _, h := range c.Spec.Hooks.StartContainer {
		if err := c.hookInside(h); err != nil {
			return fmt.Errorf("the startContainer hook %s: %w", h.Path, err)
		}
	}
	return nil
}

func (c *container) hookInside(h specs.Hook) error {
	p := *c.Spec.Process
	p.Terminal, p.Env, p.Args = false, h.Env, append([]string{h.Path}, tail(h.Args)...)
	in, err := stateFile(c.State)
	if err != nil {
		return err
	}
	defer in.Close()
	target := runtime.ExecTarget{PID: c.Pid, CgroupPath: c.Cgroup, ByNumber: true}
	made, err := runtime.Exec(target, &p, c.Spec.Linux.Seccomp, nil, [3]*os.File{in, nil, os.Stderr})
	if err != nil {
		return err
	}
	defer made.PIDFD.Close()
	if h.Timeout != nil {
		timer := time.AfterFunc(time.Duration(*h.Timeout)*time.Second, func() { _ = runtime.Signal(made.PIDFD, 9) })
		defer timer.Stop()
	}
	status, err := runtime.Reap(made.PID)
	if err == nil && (!status.Exited() || status.ExitStatus() != 0) {
		err = fmt.Errorf("it ended with status %d", status.ExitStatus())
	}
	return err
}

// stateFile is the state as a file to read.
func stateFile(state specs.State) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	text, err := json.Marshal(state)
	if err == nil {
		// A pipe holds 64 KiB, and one that nobody reads must not hold us up.
		_, err = w.Write(text[:min(len(text), 1<<16)])
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func tail(args []string) []string {
	if len(args) == 0 {
		return nil
	}
	return args[1:]
}

// runHooks runs the hooks one after the other up to the first that fails.
func (c *container) runHooks(kind string, hooks []specs.Hook) error {
	for _, h := range hooks {
		if err := runHook(h, c.State); err != nil {
			return fmt.Errorf("the %s hook %s: %w", kind, h.Path, err)
		}
	}
	return nil
}

// afterStart and afterStop run all hooks: one that fails is a warning.
func (c *container) afterStart() {
	if c.Spec.Hooks != nil {
		c.warnHooks("poststart", c.Spec.Hooks.Poststart)
	}
}

func (c *container) afterStop() {
	if c.Spec.Hooks != nil {
		c.warnHooks("poststop", c.Spec.Hooks.Poststop)
	}
}

func (c *container) warnHooks(kind string, hooks []specs.Hook) {
	for _, h := range hooks {
		if err := c.runHooks(kind, []specs.Hook{h}); err != nil {
			fmt.Fprintln(os.Stderr, "warning: "+err.Error())
		}
	}
}

// runHook runs one, with the state on its standard input and an environment
// that has nothing of ours. What it prints is for the error text.
//
// It does without package os/exec, which initialises late.
func runHook(h specs.Hook, state specs.State) error {
	in, err := stateFile(state)
	if err != nil {
		return err
	}
	defer in.Close()
	fd, err := unix.MemfdCreate("hook", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), "hook")
	defer out.Close()
	args := h.Args
	if len(args) == 0 {
		args = []string{h.Path}
	}
	var p *os.Process
	err = timerslack.Outside(func() (err error) {
		p, err = os.StartProcess(h.Path, args, &os.ProcAttr{Env: append([]string{}, h.Env...), Files: []*os.File{in, out, out}})
		return err
	})
	if err != nil {
		return err
	}
	var late atomic.Bool
	if h.Timeout != nil {
		timer := time.AfterFunc(time.Duration(*h.Timeout)*time.Second, func() { late.Store(true); _ = p.Kill() })
		defer timer.Stop()
	}
	end, err := p.Wait()
	switch {
	case err != nil:
		return err
	case late.Load():
		return fmt.Errorf("it did not end within %d s", *h.Timeout)
	case !end.Success():
		said := make([]byte, 4096)
		n, _ := out.ReadAt(said, 0)
		return fmt.Errorf("%s %s", end, strings.TrimSpace(string(said[:n])))
	}
	return nil
}
