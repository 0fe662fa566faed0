package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path" // path/filepath initialises after the heavy libraries
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"compose/engine/runtime"
	"compose/engine/runtime/cgroup"
	"compose/internal/signals"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func (a *app) start() error {
	c, err := a.load()
	if err != nil {
		return err
	}
	if c.Status != specs.StateCreated {
		return fmt.Errorf("container %s is %s: only a created one can be started", c.ID, c.Status)
	}
	return c.release()
}

// release lets the process at the gate go, and finds out what came of it.
func (c *container) release() error {
	if c.NoProcess {
		return errors.Join(fmt.Errorf("container %s has no program to run: process is not set in its config.json", c.ID), runtime.KillAll(c.Cgroup))
	}
	if err := c.startContainer(); err != nil {
		return errors.Join(err, runtime.KillAll(c.Cgroup))
	}
	result, err := unix.Open(c.resultFIFO(), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", c.resultFIFO(), err)
	}
	r := os.NewFile(uintptr(result), c.resultFIFO())
	defer r.Close()
	start, err := unix.Open(c.startFIFO(), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == unix.ENXIO {
		return fmt.Errorf("container %s is not waiting for its start any more", c.ID)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", c.startFIFO(), err)
	}
	_, err = unix.Write(start, []byte{1})
	unix.Close(start)
	if err != nil {
		return fmt.Errorf("release the container: %w", err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("release the container: %w", err)
	}
	if err := runtime.ParseResult(data); err != nil {
		return err
	}
	c.Status = specs.StateRunning
	c.afterStart()
	return nil
}

// runToEnd is create and start; unless it is to be detached also the wait for
// the end, and delete.
func (a *app) runToEnd() error {
	if a.detach {
		c, _, err := a.make(true)
		if err != nil {
			return err
		}
		if err := c.release(); err != nil {
			return errors.Join(err, c.remove())
		}
		return nil
	}
	caught := make(chan os.Signal, 64)
	if err := signals.Catch(caught); err != nil {
		return err
	}
	c, made, err := a.make(false)
	if err != nil {
		return err
	}
	status, err := func() (unix.WaitStatus, error) {
		if err := c.startContainer(); err != nil {
			made.Discard()
			return 0, err
		}
		if err := made.Start(); err != nil {
			made.Discard()
			return 0, err
		}
		c.Status = specs.StateRunning
		c.afterStart()
		go forward(caught, made.PIDFD)
		return runtime.Reap(made.PID)
	}()
	if err := errors.Join(err, c.remove()); err != nil {
		return err
	}
	return ended(status)
}

func forward(caught <-chan os.Signal, pidfd *os.File) {
	for s := range caught {
		if sig, ok := s.(syscall.Signal); ok && sig != syscall.SIGCHLD && sig != syscall.SIGURG {
			_ = runtime.Signal(pidfd, sig)
		}
	}
}

// ended is a process's end in the shell's form.
func ended(status unix.WaitStatus) error {
	switch {
	case status.Signaled():
		return exitCode(128 + int(status.Signal()))
	case status.ExitStatus() != 0:
		return exitCode(status.ExitStatus())
	}
	return nil
}

func (a *app) kill() error {
	sig := unix.SIGTERM
	if len(a.args) > 1 {
		var err error
		if sig, err = parseSignal(a.args[1]); err != nil {
			return err
		}
	}
	c, err := a.load()
	if err != nil {
		return err
	}
	if a.all {
		pids, err := runtime.Pids(c.Cgroup)
		if err != nil {
			return err
		}
		for _, pid := range pids {
			if err := unix.Kill(pid, sig); err != nil && err != unix.ESRCH {
				return fmt.Errorf("send %s to %d: %w", unix.SignalName(sig), pid, err)
			}
		}
		return c.thawToDie(sig)
	}
	if c.Status == specs.StateStopped || c.Status == specs.StateCreating {
		return fmt.Errorf("container not running: %s is %s", c.ID, c.Status)
	}
	fd, err := unix.PidfdOpen(c.Pid, 0)
	if err != nil || !alive(c.Pid, c.PIDStart) {
		return fmt.Errorf("container not running: the process of %s is gone", c.ID)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer f.Close()
	if err := runtime.Signal(f, sig); err != nil {
		return err
	}
	return c.thawToDie(sig)
}

// thawToDie lets a paused container go on that was sent SIGKILL: on cgroup v1 a
// frozen process does not even die.
func (c *container) thawToDie(sig unix.Signal) error {
	if sig != unix.SIGKILL || c.Status != paused {
		return nil
	}
	return runtime.Resume(c.Cgroup)
}

func parseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil && n > 0 && n <= 64 {
		return unix.Signal(n), nil
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("unknown signal %q", s)
}

func (a *app) pause() error {
	c, err := a.load()
	if err != nil {
		return err
	}
	if c.Status != specs.StateRunning && c.Status != specs.StateCreated {
		return fmt.Errorf("container %s is %s: only a running one can be paused", c.ID, c.Status)
	}
	return runtime.Pause(c.Cgroup)
}

func (a *app) resume() error {
	c, err := a.load()
	if err != nil {
		return err
	}
	if c.Status != paused {
		return fmt.Errorf("container %s is %s, not paused", c.ID, c.Status)
	}
	return runtime.Resume(c.Cgroup)
}

func (a *app) update() error {
	c, err := a.load()
	if err != nil {
		return err
	}
	var text []byte
	if a.resources == "-" {
		text, err = io.ReadAll(os.Stdin)
	} else {
		text, err = os.ReadFile(a.resources)
	}
	if err != nil {
		return fmt.Errorf("read the limits (--resources): %w", err)
	}
	var r specs.LinuxResources
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("read the limits: %w", err)
	}
	return cgroup.Apply(c.Cgroup, &r)
}

func (a *app) delete() error {
	id, err := a.id()
	if err != nil {
		return err
	}
	c, err := a.load()
	if err != nil {
		dir := path.Join(a.root, id)
		if _, statErr := os.Lstat(dir); a.force && (errors.Is(statErr, fs.ErrNotExist) || statErr == nil) {
			// What a create that was killed at once has left.
			return os.RemoveAll(dir)
		}
		return err
	}
	if c.Status != specs.StateStopped && !a.force {
		return fmt.Errorf("container %s is %s: only a stopped one can be deleted, unless with --force", c.ID, c.Status)
	}
	return c.remove()
}
