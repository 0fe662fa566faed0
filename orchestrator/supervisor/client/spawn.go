package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"compose/engine/runtime"
	"compose/internal/filelock"
	"compose/internal/roots"
	"compose/orchestrator/keeper"
	"compose/orchestrator/supervisor/api"
)

// ensure starts the project's supervisor unless it runs. Of several callers
// one does it and the others wait.
func ensure(ctx context.Context, r roots.Roots, project string) error {
	lock, err := filelock.Exclusive(api.SpawnLock(r, project))
	if err != nil {
		return err
	}
	defer lock.Unlock()
	c := newClient(r, project, false)
	if conn, err := c.dial(ctx); err == nil {
		return conn.Close()
	} else if !errors.Is(err, ErrNotRunning) {
		return err
	}
	return spawn(r, project)
}

// spawn starts a keeper, detached from us, and waits until its supervisor
// listens.
func spawn(r roots.Roots, project string) error {
	if err := os.MkdirAll(r.Project(project), 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(api.Log(r, project), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	ready, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	exe, err := runtime.SealedExe()
	if err != nil {
		tell.Close()
		return err
	}
	defer exe.Close()
	p, err := os.StartProcess("/proc/self/fd/"+strconv.Itoa(int(exe.Fd())),
		[]string{keeper.Name, r.State, r.Run, project}, &os.ProcAttr{
			Dir:   "/",
			Env:   os.Environ(),
			Files: []*os.File{null, log, log, tell},
			Sys:   &syscall.SysProcAttr{Setsid: true},
		})
	tell.Close()
	if err != nil {
		return fmt.Errorf("start the supervisor of project %s: %w", project, err)
	}
	_ = p.Release() // it outlives us
	answer, err := io.ReadAll(ready)
	switch {
	case err != nil:
		return err
	case string(answer) == "ok":
		return nil
	case len(answer) == 0:
		return fmt.Errorf("the supervisor of project %s did not come up; see %s", project, api.Log(r, project))
	}
	return fmt.Errorf("start the supervisor of project %s: %s", project, answer)
}
