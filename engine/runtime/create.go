package runtime

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"compose/engine/runtime/cgroup"
	"compose/internal/procstat"
	"compose/internal/sealed"
	"compose/internal/trace"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Create makes the container up to, but not including, the run of its program
// (the OCI's state "created"). Start releases it; Container.Discard ends it
// unreleased. Errors say what failed; nothing is left then but the cgroup,
// which DeleteCgroup removes.
func Create(cfg Config) (*Container, error) {
	spec := cfg.Spec
	if spec == nil || spec.Process == nil || spec.Linux == nil || len(spec.Process.Args) == 0 && cfg.Gate == nil {
		return nil, errors.New("the runtime spec has no process to run")
	}
	if err := checkProcess(spec.Process); err != nil {
		return nil, err
	}
	if cfg.RootFS.Path == "" && len(cfg.RootFS.Lowers) == 0 && spec.Root != nil {
		cfg.RootFS.Path = spec.Root.Path
	}
	defer trace.Begin("create the process", cfg.ID).End()
	cg := joinCgroup(cfg.CgroupPath, cfg.Cgroup, spec.Linux.Resources)
	defer cg.close()
	var exe *os.File
	if cfg.Init || !sealed.Already() {
		// While /proc and our own mounts are in reach.
		var err error
		if exe, err = sealed.Exe(); err != nil {
			return nil, err
		}
	}
	label, err := openLabel(spec.Process.ApparmorProfile)
	if err != nil {
		exe.Close()
		return nil, err
	}
	defer label.close()
	c := &creation{cfg: cfg, spec: spec, cgroup: cg, exe: exe, label: label}
	l, err := spawn(c.prepare)
	if err != nil {
		exe.Close()
		if c.term != nil {
			c.term.master.Close()
		}
		return nil, err
	}
	made := &Container{
		PID: int(l.pid), PIDFD: os.NewFile(uintptr(l.pidfd), "pidfd"), StartTicks: StartTicks(int(l.pid)),
		Warnings: l.warnings, launch: l,
	}
	if c.term != nil {
		made.Console = c.term.master
	}
	if warning := setOOMScore(made.PID, spec.Process.OOMScoreAdj); warning != "" {
		made.Warnings = append(made.Warnings, warning)
	}
	return made, nil
}

// joining is the making of the cgroup, beside that of the file tree.
type joining struct {
	done chan struct{}
	join *cgroup.Join
	err  error
}

func joinCgroup(path string, begun *Cgroup, limits *specs.LinuxResources) *joining {
	j := &joining{done: make(chan struct{})}
	if path == "" {
		close(j.done)
		return j
	}
	go func() {
		defer close(j.done)
		defer trace.Begin("make the cgroup", path).End()
		if begun == nil || begun.Wait() != nil {
			if j.err = cgroup.Create(path); j.err != nil {
				return
			}
		}
		if j.err = cgroup.Apply(path, limits); j.err != nil {
			return
		}
		j.join, j.err = cgroup.Open(path)
	}()
	return j
}

func (j *joining) wait() (*cgroup.Join, error) {
	<-j.done
	return j.join, j.err
}

func (j *joining) close() {
	if join, _ := j.wait(); join != nil {
		join.Close()
	}
}

// checkProcess refuses strings that the kernel would cut short.
func checkProcess(p *specs.Process) error {
	for _, list := range [][]string{p.Args, p.Env, {p.Cwd, p.User.Username}} {
		for _, s := range list {
			if strings.IndexByte(s, 0) >= 0 {
				return fmt.Errorf("a NUL byte in %q", s)
			}
		}
	}
	return nil
}

// creation is one Create under way, on its thread.
type creation struct {
	cfg    Config
	spec   *specs.Spec
	cgroup *joining
	exe    *os.File // our own binary, where it is to be the init
	label  *label
	term   *terminal
	root   int // O_PATH of the root file system, before the pivot
	ids    *ids
	late   []specs.Mount
}

// prepare makes the thread the container's in all that the child inherits,
// and l the steps of the child.
func (c *creation) prepare(l *launch) error {
	defer trace.Begin("prepare the process", c.cfg.ID).End()
	l.early, l.gate = c.cfg.BeforePivot, c.cfg.Gate
	if c.exe != nil {
		// The kernel waits for all processors when the last of it is closed. That
		// is not to be the child in its execve.
		l.open = append(l.open, c.exe)
	}
	if err := c.userNamespace(); err != nil {
		return err
	}
	if c.ids != nil {
		l.open = append(l.open, c.ids.ns)
	}
	entering := trace.Begin("enter its namespaces", c.cfg.ID)
	if err := c.enterNamespaces(); err != nil {
		return err
	}
	entering.End()
	mounting := trace.Begin("mount its file systems", c.cfg.ID)
	early, err := openEarly(c.spec.Mounts, c.ids)
	if err != nil {
		return err
	}
	defer early.close()
	if err := unix.Mount("", "/", "", rootPropagation(c.spec), ""); err != nil {
		return fmt.Errorf("cut the mounts off from the host's: %w", err)
	}
	if c.ids != nil {
		if err := c.ids.idmapDirs(c.layers()); err != nil {
			return err
		}
	}
	dir, err := c.cfg.RootFS.mount()
	if err != nil {
		return err
	}
	if c.root, err = unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open the root file system: %w", err)
	}
	l.open = append(l.open, os.NewFile(uintptr(c.root), "root")) // the child enters it
	if c.late, err = mountAll(c.root, c.spec.Mounts, early, c.ids); err != nil {
		return err
	}
	mounting.End()
	if own, _ := ownDev(c.spec.Mounts); own {
		if err := fillDev(c.root, c.spec.Linux.Devices); err != nil {
			return err
		}
	}
	if err := c.prepareDir(); err != nil {
		return err
	}
	who, err := lookupAccount(c.root, c.spec.Process.User, c.cfg.Groups, c.cfg.ByNumber)
	if err != nil {
		return err
	}
	steps := &child{
		process: c.spec.Process, seccomp: c.spec.Linux.Seccomp, who: who,
		stdio: [3]*os.File{c.cfg.Stdin, c.cfg.Stdout, c.cfg.Stderr}, exe: c.exe, init: c.cfg.Init, ids: c.ids, label: c.label, stat: statInRoot(c.root, c.spec.Process.Cwd),
	}
	if c.spec.Process.Terminal {
		if c.term, err = openTerminal(c.root, c.spec.Process.ConsoleSize); err != nil {
			return err
		}
		defer c.term.slave.Close()
		if err := c.term.bindConsole(c.root); err != nil {
			return err
		}
		steps.tty, steps.stdio = true, [3]*os.File{c.term.slave, c.term.slave, c.term.slave}
	}
	if err := c.ids.asRoot(func() error { return writeSysctls(c.spec.Linux.Sysctl) }); err != nil {
		return err
	}
	inProc, err := c.hidePaths(l)
	if err != nil {
		return err
	}
	if c.spec.Root != nil && c.spec.Root.Readonly {
		if err := remountBind(c.root, fdPath(c.root), unix.MS_RDONLY); err != nil {
			return err
		}
	}
	// The child starts out in the new root, and goes on from there.
	if err := unix.Fchdir(c.root); err != nil {
		return fmt.Errorf("enter the root file system: %w", err)
	}
	waiting := trace.Begin("wait for the cgroup", c.cfg.ID)
	steps.join, err = c.cgroup.wait()
	waiting.End()
	if err != nil {
		return err
	}
	return c.program(l, steps, inProc)
}

// program adds all steps of PID 1.
func (c *creation) program(l *launch, steps *child, inProc hidden) error {
	p := &l.program
	if HasNew(c.spec, specs.PIDNamespace) {
		l.args.flags |= unix.CLONE_NEWPID
	}
	if l.born = c.cfg.Born; l.born != nil {
		l.report()
	}
	keep := []int{c.root}
	if inProc.null >= 0 {
		keep = append(keep, inProc.null)
	}
	if err := l.begin(steps, keep...); err != nil {
		return err
	}
	if HasNew(c.spec, specs.CgroupNamespace) {
		p.add("make the cgroup namespace", must, unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP)
	}
	if err := c.lateMounts(p); err != nil {
		return err
	}
	if l.early != nil {
		l.wait(l.goR)
	}
	p.pivot(c.root)
	for _, m := range c.late {
		if m.Type == "proc" {
			p.enterProc(m.Destination)
			if path.Clean(m.Destination) == "/proc" {
				p.hideInProc(inProc, parseOptions(m.Options).flags)
			}
		}
	}
	if how := propagations[c.spec.Linux.RootfsPropagation]; how&(unix.MS_SHARED|unix.MS_UNBINDABLE) != 0 {
		p.add("set the propagation of the root", must, unix.SYS_MOUNT, p.str(""), p.str("/"), p.str(""), how, 0)
	}
	l.halt()
	return l.finish(steps)
}

// rootPropagation cuts the host off from what is mounted by us, and us from
// what is mounted by the host if the Spec asks for that.
func rootPropagation(spec *specs.Spec) uintptr {
	if p := propagations[spec.Linux.RootfsPropagation]; p&unix.MS_PRIVATE != 0 {
		return unix.MS_PRIVATE | unix.MS_REC
	}
	return unix.MS_SLAVE | unix.MS_REC
}

// prepareDir makes the working directory, as Docker does for one that the
// image lacks.
func (c *creation) prepareDir() error {
	cwd := c.spec.Process.Cwd
	if !path.IsAbs(cwd) {
		return fmt.Errorf("the working directory %q is invalid, it needs to be an absolute path", cwd)
	}
	if strings.HasPrefix(path.Clean(cwd)+"/", "/proc/") {
		return nil // mounted later; and whatever it is, it was not there to make
	}
	fd, err := mkdirAllInRoot(c.root, cwd)
	if err != nil {
		if errors.Is(err, unix.EROFS) || errors.Is(err, unix.ENOTDIR) {
			return nil // the child's chdir tells it in its own words
		}
		return fmt.Errorf("make the working directory %s: %w", cwd, err)
	}
	return unix.Close(fd)
}

// writeSysctls sets the kernel parameters of the thread's namespaces.
func writeSysctls(list map[string]string) error {
	for key, value := range list {
		name := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
		if path.Clean(name) != name {
			return fmt.Errorf("sysctl %q is no name of a kernel parameter", key)
		}
		fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			_, err = unix.Write(fd, []byte(value))
			unix.Close(fd)
		}
		if err != nil {
			return fmt.Errorf("set the sysctl %s to %q: %w", key, value, err)
		}
	}
	return nil
}

// lateMounts adds the mounts that show the namespaces of whoever makes them.
// The child makes them with the new root as its working directory and the old
// one still in reach: a user namespace may mount a /proc only who sees one.
func (c *creation) lateMounts(p *program) error {
	for _, m := range c.late {
		o := parseOptions(m.Options)
		if m.Type == "proc" {
			at := fromRoot(m.Destination)
			p.add("mount "+m.Destination, must, unix.SYS_MOUNT, p.str("proc"), p.str(at), p.str("proc"), o.flags, 0)
			continue
		}
		if err := c.cgroupMounts(p, m.Destination, o.flags); err != nil {
			return err
		}
	}
	return nil
}

// fromRoot is an absolute path as one from the root directory.
func fromRoot(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

func (c *creation) cgroupMounts(p *program, at string, flags uintptr) error {
	if cgroup.Version() == 2 {
		p.add("mount cgroup2", must, unix.SYS_MOUNT, p.str("cgroup"), p.str(fromRoot(at)), p.str("cgroup2"), flags, 0)
		return nil
	}
	// v1: a small tmpfs with one directory for each hierarchy. It may be
	// read-only by the time that the child mounts on it.
	if err := mountOne(c.root, specs.Mount{Destination: at, Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=755", "size=64k"}}, c.ids); err != nil {
		return err
	}
	top, err := openInRoot(c.root, at, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return fmt.Errorf("open %s: %w", at, err)
	}
	defer unix.Close(top)
	namespaced := slices.ContainsFunc(c.spec.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == specs.CgroupNamespace })
	for _, h := range cgroup.Mounts() {
		if err := unix.Mkdirat(top, h.Name, 0o755); err != nil {
			return fmt.Errorf("make %s: %w", path.Join(at, h.Name), err)
		}
		dir, step := path.Join(fromRoot(at), h.Name), "mount the cgroups "+h.Name
		if namespaced || c.cfg.CgroupPath == "" {
			p.add(step, must, unix.SYS_MOUNT, p.str("cgroup"), p.str(dir), p.str(h.Type), flags, p.str(h.Options))
			continue
		}
		// Without a namespace it would be the host's whole hierarchy.
		p.add(step, must, unix.SYS_MOUNT, p.str(path.Join(h.Host, c.cfg.CgroupPath)), p.str(dir), 0, unix.MS_BIND, 0)
		p.add(step, must, unix.SYS_MOUNT, 0, p.str(dir), 0, unix.MS_REMOUNT|unix.MS_BIND|flags, 0)
	}
	for _, h := range cgroup.Mounts() {
		for _, name := range strings.Split(h.Options, ",") {
			if h.Type == "cgroup" && name != h.Name && !strings.Contains(name, "=") {
				if err := unix.Symlinkat(h.Name, top, name); err != nil && err != unix.EEXIST {
					return err
				}
			}
		}
	}
	return remountBind(top, fdPath(top), flags)
}

// StartTicks reads field 22 of /proc/<pid>/stat: when the process began, which
// tells it from a later one with the same number. It is 0 for none, and for one
// that has ended and was left to the host's init, which may be slow to bury it.
func StartTicks(pid int) uint64 {
	fields := procstat.Fields(pid)
	if len(fields) <= procstat.Start || fields[procstat.State] == "Z" && fields[procstat.Parent] == "1" {
		return 0
	}
	n, _ := strconv.ParseUint(fields[procstat.Start], 10, 64)
	return n
}
