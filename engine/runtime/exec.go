package runtime

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"compose/engine/runtime/cgroup"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// execNamespaces are all that a container may have of its own; joining one
// that it shares with us changes nothing.
const execNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// Exec runs one more process inside a running container, under p's own
// capabilities and the given seccomp profile. The streams are as in Config;
// with p.Terminal the process gets a terminal from the container's devpts. The
// caller reaps it. *ExecError where the program cannot be run.
func Exec(target ExecTarget, p *specs.Process, profile *specs.LinuxSeccomp, groups []string, stdio [3]*os.File) (*Process, error) {
	if p == nil || len(p.Args) == 0 {
		return nil, errors.New("there is no command to run")
	}
	if err := checkProcess(p); err != nil {
		return nil, err
	}
	pidfd := target.PIDFD
	if pidfd == nil {
		fd, err := unix.PidfdOpen(target.PID, 0)
		if err != nil {
			return nil, fmt.Errorf("find the container's process: %w", err)
		}
		pidfd = os.NewFile(uintptr(fd), "pidfd")
		defer pidfd.Close()
	}
	var join *cgroup.Join
	if target.CgroupPath != "" {
		var err error
		if join, err = cgroup.Open(target.CgroupPath); err != nil {
			return nil, err
		}
		defer join.Close()
	}
	var made *Process
	err := onThread(func() (err error) {
		made, err = execOnThread(pidfd, p, profile, groups, stdio, join)
		return err
	})
	return made, err
}

func execOnThread(pidfd *os.File, p *specs.Process, profile *specs.LinuxSeccomp, groups []string, stdio [3]*os.File, join *cgroup.Join) (*Process, error) {
	if err := unix.Setns(int(pidfd.Fd()), execNamespaces); err != nil {
		if err == unix.ESRCH {
			return nil, errors.New("the container is not running")
		}
		return nil, fmt.Errorf("enter the container: %w", err)
	}
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(root)
	who, err := lookupAccount(root, p.User, groups)
	if err != nil {
		return nil, err
	}
	var term *terminal
	if p.Terminal {
		if term, err = openTerminal(root, p.ConsoleSize); err != nil {
			return nil, err
		}
		defer term.slave.Close()
		stdio = [3]*os.File{term.slave, term.slave, term.slave}
	}
	c, err := forkExec(p, profile, who, term != nil, stdio, join)
	if err != nil {
		if term != nil {
			term.master.Close()
		}
		return nil, err
	}
	process := &Process{PID: c.PID, PIDFD: c.PIDFD}
	if term != nil {
		process.Console = term.master
	}
	return process, nil
}

func forkExec(p *specs.Process, profile *specs.LinuxSeccomp, who account, tty bool, stdio [3]*os.File, join *cgroup.Join) (*Container, error) {
	f, err := newForker(stdio)
	if err != nil {
		return nil, err
	}
	defer f.closeChildSide()
	f.begin(join)
	f.handshake()
	if err := f.finish(p, profile, who, tty); err != nil {
		f.abandon()
		return nil, err
	}
	c, err := f.start(&cloneArgs{exitSignal: uint64(unix.SIGCHLD)}, join)
	if err != nil {
		return nil, err
	}
	if err := c.release.await(); err != nil {
		c.Discard()
		return nil, err
	}
	if err := c.Start(); err != nil {
		c.Discard()
		return nil, err
	}
	return c, nil
}
