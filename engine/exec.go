package engine

import (
	"context"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"compose/engine/runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ExecSpec asks for one more process in a running container. What is left zero
// is the container's own.
type ExecSpec struct {
	Args       []string
	Env        []string
	User       string
	WorkingDir string
	TTY        bool
	Privileged bool

	Rows, Columns uint16 // of the terminal; 0: nobody has said
}

// ExecProcess is a process that Exec has started, a child of the caller.
type ExecProcess struct {
	PID     int
	PIDFD   *os.File
	Console *os.File // the terminal's master side, or nil
	// Ended is for the caller to say that it has reaped the process.
	Ended func(exitCode int)
}

// Exec runs a process inside a running container. The calling process is its
// parent, so no supervisor stands in between. A program that cannot be run
// gives a *runtime.ExecError.
func (e *Engine) Exec(_ context.Context, id string, x ExecSpec, stdio Stdio) (*ExecProcess, error) {
	c, err := e.read(id)
	if err != nil {
		return nil, err
	}
	s, err := e.State(id)
	if err != nil {
		return nil, err
	}
	switch s.Status {
	case Running:
	case Paused:
		return nil, fmt.Errorf("Container %s is paused, unpause the container before exec", c.Spec.Name)
	default:
		return nil, fmt.Errorf("Container %s is not running", c.ID)
	}
	limits := c.Spec
	limits.Privileged = limits.Privileged || x.Privileged
	spec := runtime.DefaultSpec()
	if err := secure(&limits, spec); err != nil {
		return nil, err
	}
	p := spec.Process
	if err := label(&c.Spec, p); err != nil { // that of the container, whatever x asks for
		return nil, err
	}
	p.Args, p.Terminal, p.Cwd = x.Args, x.TTY, x.WorkingDir
	if x.Rows > 0 && x.Columns > 0 {
		p.ConsoleSize = &specs.Box{Height: uint(x.Rows), Width: uint(x.Columns)}
	}
	if p.Cwd == "" {
		p.Cwd = c.Spec.WorkingDir
	}
	p.User = specs.User{Username: x.User}
	if x.User == "" {
		p.User.Username = c.Spec.User
	}
	env := processEnv(c)
	if x.TTY && !slices.ContainsFunc(env, func(kv string) bool { return len(kv) > 5 && kv[:5] == "TERM=" }) {
		env = append(env, "TERM=xterm")
	}
	p.Env = mergeEnv(env, x.Env)
	for _, u := range c.Spec.Ulimits {
		l, err := rlimit(u)
		if err != nil {
			return nil, err
		}
		p.Rlimits = append(p.Rlimits, l)
	}
	pidfd, err := unix.PidfdOpen(s.PID, 0)
	if err != nil {
		return nil, fmt.Errorf("Container %s is not running", c.ID)
	}
	target := os.NewFile(uintptr(pidfd), "pidfd")
	defer target.Close()
	if !Alive(s.PID, s.PIDStart) {
		return nil, fmt.Errorf("Container %s is not running", c.ID)
	}
	stream := [3]*os.File{stdio.Stdin, stdio.Stdout, stdio.Stderr}
	other, err := e.externalRuntime(c)
	if err != nil {
		return nil, err
	}
	ended := e.execHappens(c, x.Args)
	if other != nil {
		made, err := other.Exec(s.PID, p, c.Spec.GroupAdd, stream)
		if err != nil {
			return nil, err
		}
		return &ExecProcess{PID: made.PID, PIDFD: made.PIDFD, Console: made.Console, Ended: ended}, nil
	}
	made, err := runtime.Exec(runtime.ExecTarget{PID: s.PID, PIDFD: target, CgroupPath: e.cgroupPath(c)},
		p, spec.Linux.Seccomp, c.Spec.GroupAdd, stream)
	if err != nil {
		return nil, err
	}
	return &ExecProcess{PID: made.PID, PIDFD: made.PIDFD, Console: made.Console, Ended: ended}, nil
}
