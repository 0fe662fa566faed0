package engine

import (
	"errors"
	"fmt"
	"path/filepath"

	"compose/engine/external"
	"compose/engine/runtime"
	"compose/internal/ociruntime"
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

func startExternal(r *external.Runtime, cfg runtime.Config) (*Started, error) {
	made, err := r.Create(cfg)
	if err != nil {
		return nil, errors.Join(err, r.Delete())
	}
	if err := r.Start(); err != nil {
		made.PIDFD.Close()
		if made.Console != nil {
			made.Console.Close()
		}
		return nil, errors.Join(err, r.Delete())
	}
	return &Started{
		PID: made.PID, PIDFD: made.PIDFD, StartTicks: made.StartTicks, Console: made.Console, Orphan: true, runtime: r,
	}, nil
}
