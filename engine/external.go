package engine

import (
	"fmt"
	"path/filepath"

	"compose/engine/external"
	"compose/engine/runtime"
	"compose/internal/fault"
	"compose/internal/ociruntime"
	"compose/netbridge"
)

// externalRuntime is the installed runtime that a container asks for, or nil
// for the built-in one.
func (e *Engine) externalRuntime(c *Container) (*external.Runtime, error) {
	program, err := ociruntime.Find(c.Spec.Runtime)
	if err != nil || program == nil {
		return nil, err
	}
	if c.UserNS != nil {
		return nil, fmt.Errorf("runtime: %s makes no containers in the user namespace that userns-remap asks for: set userns_mode: host, or leave the runtime out", c.Spec.Runtime)
	}
	return &external.Runtime{
		Path: program.Path, Args: program.Args, ID: c.ID,
		Root:   filepath.Join(e.roots.Run, "runtimes", filepath.Base(program.Path)),
		Bundle: filepath.Join(e.roots.Run, "bundles", c.ID),
		Init:   filepath.Join(e.roots.State, "init"),
	}, nil
}

// startExternal has another runtime make a container, tells made, and has it
// let the program go.
func startExternal(r *external.Runtime, cfg runtime.Config, sandbox *netbridge.Sandbox, made func(*Started)) (*Started, error) {
	created, err := r.Create(cfg)
	if err != nil {
		_ = r.Delete() // what stays, the next start or the removal takes away
		return nil, err
	}
	run := &Started{
		PID: created.PID, PIDFD: created.PIDFD, StartTicks: created.StartTicks, Console: created.Console, Sandbox: sandbox,
		Orphan: true, runtime: r,
	}
	fault.Point("start: created by another runtime")
	made(run)
	if err := r.Start(); err != nil {
		created.PIDFD.Close()
		if created.Console != nil {
			created.Console.Close()
		}
		_ = r.Delete()
		return nil, err
	}
	fault.Point("start: running by another runtime")
	return run, nil
}

// NotLetGo says that another runtime has made the container's process and has
// not been told yet to run its program.
func (e *Engine) NotLetGo(id string) bool {
	c, err := e.read(id)
	if err != nil || c.Spec.Runtime == "" {
		return false
	}
	other, err := e.externalRuntime(c)
	return err == nil && other != nil && other.Waits()
}
