package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"compose/engine/runtime"
	"compose/internal/sealed"
	"compose/internal/signals"
	"compose/internal/statefile"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func (a *app) exec() error {
	// Processes of the container see the new one before its execve, when what it
	// runs is our own binary (CVE-2019-5736).
	if err := sealed.Again(); err != nil {
		return err
	}
	c, err := a.load()
	if err != nil {
		return err
	}
	if c.Status != specs.StateRunning && c.Status != specs.StateCreated {
		return fmt.Errorf("container %s is %s: there is nothing to run a process in", c.ID, c.Status)
	}
	p, err := a.execProcess(c)
	if err != nil {
		return err
	}
	if err := checkProcess(p); err != nil {
		return err
	}
	if p.Terminal && a.console == "" {
		return errors.New("the process is to have a terminal: --console-socket has to say who takes it")
	}
	caught := make(chan os.Signal, 64)
	if !a.detach {
		if err := signals.Catch(caught); err != nil {
			return err
		}
	}
	target := runtime.ExecTarget{PID: c.Pid, CgroupPath: c.Cgroup, ByNumber: true}
	made, err := runtime.Exec(target, p, c.Spec.Linux.Seccomp, nil, [3]*os.File{os.Stdin, os.Stdout, os.Stderr})
	if err != nil {
		return err
	}
	defer made.PIDFD.Close()
	fail := func(err error) error {
		_ = runtime.Signal(made.PIDFD, unix.SIGKILL)
		_, _ = runtime.Reap(made.PID)
		return err
	}
	if made.Console != nil {
		if err := sendConsole(a.console, made.Console); err != nil {
			return fail(err)
		}
		made.Console.Close()
	}
	if a.pidFile != "" {
		if err := statefile.Write(a.pidFile, []byte(strconv.Itoa(made.PID)), 0o644); err != nil {
			return fail(fmt.Errorf("write the PID file: %w", err))
		}
	}
	if a.detach {
		return nil
	}
	go forward(caught, made.PIDFD)
	status, err := runtime.Reap(made.PID)
	if err != nil {
		return err
	}
	return ended(status)
}

// execProcess is the process of --process, or the container's own with another
// command line.
func (a *app) execProcess(c *container) (*specs.Process, error) {
	if a.process != "" {
		text, err := os.ReadFile(a.process)
		if err != nil {
			return nil, fmt.Errorf("read the process: %w", err)
		}
		p := &specs.Process{}
		if err := json.Unmarshal(text, p); err != nil {
			return nil, fmt.Errorf("%s: %w", a.process, err)
		}
		if p.Capabilities == nil {
			p.Capabilities = c.Spec.Process.Capabilities
		}
		return p, nil
	}
	p := *c.Spec.Process
	p.Args, p.Terminal, p.ConsoleSize = a.args[1:], a.tty, nil
	p.Env = append(append([]string{}, p.Env...), a.env...)
	if a.cwd != "" {
		p.Cwd = a.cwd
	}
	if a.user != "" {
		user, group, _ := strings.Cut(a.user, ":")
		uid, err := strconv.ParseUint(user, 10, 32)
		gid := uint64(p.User.GID)
		if err == nil && group != "" {
			gid, err = strconv.ParseUint(group, 10, 32)
		}
		if err != nil {
			return nil, fmt.Errorf("--user %q: a number, or two with a colon between", a.user)
		}
		p.User.UID, p.User.GID = uint32(uid), uint32(gid)
	}
	if len(p.Args) == 0 {
		return nil, errors.New("exec: there is no command to run; see --help")
	}
	return &p, nil
}
