package runtime

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"compose/engine/runtime/cgroup"
	"compose/internal/sealed"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// execNamespaces are what a container may have of its own; joining one that it
// shares with us changes nothing. The cgroup namespace is not among them: the
// child joins it, once it is in the cgroup, because v2 mounted with nsdelegate
// lets nobody into a namespace's cgroups from outside who is in the namespace.
const execNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

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
		if join, err = cgroup.OpenOf(target.PID, target.CgroupPath); err != nil {
			return nil, err
		}
		defer join.Close()
	}
	var exe *os.File
	if !sealed.Already() {
		var err error
		if exe, err = sealed.Exe(); err != nil {
			return nil, err
		}
		defer exe.Close()
	}
	i, err := idsOf(target.PID)
	if err != nil {
		return nil, err
	}
	defer i.close()
	label, err := openLabel(p.ApparmorProfile)
	if err != nil {
		return nil, err
	}
	defer label.close()
	var term *terminal
	l, err := spawn(func(l *launch) error {
		steps := &child{process: p, seccomp: profile, stdio: stdio, join: join, exe: exe, ids: i, label: label, stat: statFrom(p.Cwd)}
		var err error
		if term, err = enter(pidfd, steps, groups, target.ByNumber); err != nil {
			return err
		}
		if term != nil {
			defer term.slave.Close()
		}
		if err := l.begin(steps, int(pidfd.Fd())); err != nil {
			return err
		}
		l.program.add("enter the cgroup namespace", must, unix.SYS_SETNS, pidfd.Fd(), unix.CLONE_NEWCGROUP)
		l.halt()
		return l.finish(steps)
	})
	if err == nil {
		made := &Process{PID: int(l.pid), PIDFD: os.NewFile(uintptr(l.pidfd), "pidfd"), Warnings: l.warnings}
		if warning := setOOMScore(made.PID, p.OOMScoreAdj); warning != "" {
			made.Warnings = append(made.Warnings, warning)
		}
		if err = l.start(); err == nil {
			if term != nil {
				made.Console = term.master
			}
			return made, nil
		}
		_, _ = Reap(made.PID)
		made.PIDFD.Close()
	}
	if term != nil {
		term.master.Close()
	}
	return nil, err
}

// enter moves the thread into the container and completes steps with what is
// found there: the user's account and, if one is asked for, a terminal.
func enter(pidfd *os.File, steps *child, groups []string, byNumber bool) (*terminal, error) {
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
	if steps.who, err = lookupAccount(root, steps.process.User, groups, byNumber); err != nil || !steps.process.Terminal {
		return nil, err
	}
	term, err := openTerminal(root, steps.process.ConsoleSize)
	if err != nil {
		return nil, err
	}
	steps.tty, steps.stdio = true, [3]*os.File{term.slave, term.slave, term.slave}
	return term, nil
}
