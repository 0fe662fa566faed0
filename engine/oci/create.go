package oci

import (
	"errors"
	"fmt"
	"os"
	"path" // path/filepath initialises after the heavy libraries
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine/runtime"
	"compose/internal/roots"
	"compose/internal/sealed"
	"compose/internal/statefile"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func (a *app) create() error {
	_, _, err := a.make(true)
	return err
}

// make makes the container. Its process waits at the FIFOs and outlives us if
// gated, and for Container.Start otherwise.
func (a *app) make(gated bool) (*container, *runtime.Container, error) {
	id, err := a.id()
	if err != nil {
		return nil, nil, err
	}
	bundle, err := roots.Abs(a.bundle)
	if err != nil {
		return nil, nil, err
	}
	c := &container{
		State:   specs.State{Version: specs.Version, ID: id, Status: specs.StateCreating, Bundle: bundle},
		Started: time.Now().UTC(), dir: path.Join(a.root, id),
	}
	if err := c.loadBundle(a.root); err != nil {
		return nil, nil, err
	}
	if !runtime.HasNew(c.Spec, specs.PIDNamespace) {
		// As in exec; in a namespace of its own it is the first and alone.
		if err := sealed.Again(); err != nil {
			return nil, nil, err
		}
	}
	if c.NoProcess && !gated {
		return nil, nil, fmt.Errorf("container %s has no program to run: process is not set in its config.json", id)
	}
	if c.Spec.Process.Terminal && a.console == "" {
		return nil, nil, errors.New("process.terminal is set: --console-socket has to say who takes the terminal")
	}
	if !c.Spec.Process.Terminal && a.console != "" {
		return nil, nil, errors.New("--console-socket is of no use: process.terminal is not set")
	}
	if err := os.MkdirAll(a.root, 0o700); err != nil {
		return nil, nil, err
	}
	if err := os.Mkdir(c.dir, 0o700); errors.Is(err, os.ErrExist) {
		return nil, nil, fmt.Errorf("container with ID %s already exists", id)
	} else if err != nil {
		return nil, nil, err
	}
	// Two containers in one group would end with the first of them.
	if pids, err := runtime.Pids(c.Cgroup); err == nil && len(pids) > 0 {
		return nil, nil, errors.Join(fmt.Errorf("the cgroup %s is not empty: %d processes are in it", c.Cgroup, len(pids)), os.Remove(c.dir))
	}
	made, err := a.makeIn(c, gated)
	if err != nil {
		return nil, nil, errors.Join(err, c.remove())
	}
	return c, made, nil
}

func (a *app) makeIn(c *container, gated bool) (*runtime.Container, error) {
	// Before there is a process: what is half made can be found and removed.
	if err := c.write(); err != nil {
		return nil, err
	}
	cfg := runtime.Config{
		ID: c.ID, Spec: c.Spec, RootFS: runtime.RootFS{Path: c.Spec.Root.Path}, CgroupPath: c.Cgroup, ByNumber: true,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	if gated {
		gate, err := c.gate()
		if err != nil {
			return nil, err
		}
		defer gate.Start.Close()
		defer gate.Result.Close()
		cfg.Gate = gate
	}
	//lint:ignore SA1019 prestart is old, and still in use
	if h := c.Spec.Hooks; h != nil && len(h.Prestart)+len(h.CreateRuntime)+len(h.CreateContainer) > 0 {
		cfg.BeforePivot = c.beforePivot
	}
	made, err := runtime.Create(cfg)
	if err != nil {
		return nil, err
	}
	for _, w := range made.Warnings {
		a.warn(w)
	}
	c.Pid, c.PIDStart, c.Status = made.PID, made.StartTicks, specs.StateCreated
	if made.Console != nil {
		if err := sendConsole(a.console, made.Console); err != nil {
			return nil, err
		}
		made.Console.Close()
	}
	if a.pidFile != "" {
		if err := statefile.Write(a.pidFile, []byte(strconv.Itoa(made.PID)), 0o644); err != nil {
			return nil, fmt.Errorf("write the PID file: %w", err)
		}
	}
	return made, c.write()
}

// gate makes the FIFOs and opens the process's ends of them.
func (c *container) gate() (*runtime.Gate, error) {
	var files [2]*os.File
	for i, name := range []string{c.startFIFO(), c.resultFIFO()} {
		if err := unix.Mkfifo(name, 0o600); err != nil {
			return nil, fmt.Errorf("make %s: %w", name, err)
		}
		// For both directions, so that neither the opening nor the reading
		// depends on who else is there.
		fd, err := unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", name, err)
		}
		files[i] = os.NewFile(uintptr(fd), name)
	}
	return &runtime.Gate{Start: files[0], Result: files[1]}, nil
}

// remove takes away everything of a container, its processes first. It can be
// repeated.
func (c *container) remove() error {
	if err := runtime.DeleteCgroup(c.Cgroup); err != nil {
		return err
	}
	c.Pid, c.Status = 0, specs.StateStopped
	c.afterStop()
	for _, name := range []string{c.startFIFO(), c.resultFIFO(), c.file()} {
		_ = unix.Unlink(name) // if it is there
	}
	if unix.Rmdir(c.dir) == nil {
		return nil
	}
	return os.RemoveAll(c.dir)
}

// sendConsole hands the terminal's master side over a unix socket. By plain
// system calls: package net's initialisation takes longer than all the rest.
func sendConsole(socket string, console *os.File) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("connect to the console socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		return fmt.Errorf("connect to the console socket %s: %w", socket, err)
	}
	raw, err := console.SyscallConn()
	if err == nil {
		controlErr := raw.Control(func(master uintptr) {
			err = unix.Sendmsg(fd, []byte(console.Name()), unix.UnixRights(int(master)), nil, 0)
		})
		err = errors.Join(err, controlErr)
	}
	if err != nil {
		return fmt.Errorf("send the terminal to the console socket: %w", err)
	}
	return nil
}
