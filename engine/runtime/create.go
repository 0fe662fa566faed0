package runtime

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"compose/engine/runtime/cgroup"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Create makes the container up to, but not including, the run of its program
// (the OCI's state "created"). Start releases it; Container.Discard ends it
// unreleased. Errors say what failed; nothing is left then but the cgroup,
// which DeleteCgroup removes.
func Create(cfg Config) (*Container, error) {
	spec := cfg.Spec
	if spec == nil || spec.Process == nil || spec.Linux == nil || len(spec.Process.Args) == 0 {
		return nil, errors.New("the runtime spec has no process to run")
	}
	if err := checkProcess(spec.Process); err != nil {
		return nil, err
	}
	if cfg.RootFS.Path == "" && len(cfg.RootFS.Lowers) == 0 && spec.Root != nil {
		cfg.RootFS.Path = spec.Root.Path
	}
	var join *cgroup.Join
	if cfg.CgroupPath != "" {
		if err := cgroup.Create(cfg.CgroupPath); err != nil {
			return nil, err
		}
		if err := cgroup.Apply(cfg.CgroupPath, spec.Linux.Resources); err != nil {
			return nil, err
		}
		var err error
		if join, err = cgroup.Open(cfg.CgroupPath); err != nil {
			return nil, err
		}
		defer join.Close()
	}
	var exe *os.File
	if cfg.Init {
		// While /proc and our own mounts are in reach.
		var err error
		if exe, err = SealedExe(); err != nil {
			return nil, err
		}
		defer exe.Close()
	}
	c := &creation{cfg: cfg, spec: spec, join: join, exe: exe}
	l, err := spawn(join, c.prepare)
	if err != nil {
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
	cfg  Config
	spec *specs.Spec
	join *cgroup.Join
	exe  *os.File // our own binary, where it is to be the init
	term *terminal
	root int // O_PATH of the root file system, before the pivot
	late []specs.Mount
}

// prepare makes the thread the container's in all that the child inherits,
// and l the steps of the child.
func (c *creation) prepare(l *launch) error {
	if err := c.enterNamespaces(); err != nil {
		return err
	}
	shared, err := openShared(c.spec.Mounts)
	if err != nil {
		return err
	}
	defer shared.close()
	if err := unix.Mount("", "/", "", rootPropagation(c.spec), ""); err != nil {
		return fmt.Errorf("cut the mounts off from the host's: %w", err)
	}
	dir, err := c.cfg.RootFS.mount()
	if err != nil {
		return err
	}
	if c.root, err = unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open the root file system: %w", err)
	}
	defer unix.Close(c.root)
	if c.late, err = mountAll(c.root, c.spec.Mounts, shared); err != nil {
		return err
	}
	if err := fillDev(c.root, c.spec.Linux.Devices); err != nil {
		return err
	}
	if err := c.prepareDir(); err != nil {
		return err
	}
	who, err := lookupAccount(c.root, c.spec.Process.User, c.cfg.Groups)
	if err != nil {
		return err
	}
	steps := &child{
		process: c.spec.Process, seccomp: c.spec.Linux.Seccomp, who: who,
		stdio: [3]*os.File{c.cfg.Stdin, c.cfg.Stdout, c.cfg.Stderr}, init: c.exe, join: c.join,
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
	if err := writeSysctls(c.spec.Linux.Sysctl); err != nil {
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
	if err := pivot(dir); err != nil {
		return err
	}
	if p := propagations[c.spec.Linux.RootfsPropagation]; p&(unix.MS_SHARED|unix.MS_UNBINDABLE) != 0 {
		if err := unix.Mount("", "/", "", p, ""); err != nil {
			return fmt.Errorf("set the propagation of the root: %w", err)
		}
	}
	return c.program(l, steps, inProc)
}

// program adds all steps of PID 1.
func (c *creation) program(l *launch, steps *child, inProc hidden) error {
	p := &l.program
	if c.hasNew(specs.PIDNamespace) {
		l.args.flags |= unix.CLONE_NEWPID
	}
	var keep []int
	if inProc.null >= 0 {
		keep = append(keep, inProc.null)
	}
	if err := l.begin(steps, keep...); err != nil {
		return err
	}
	if c.hasNew(specs.CgroupNamespace) {
		p.add("make the cgroup namespace", must, unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP)
	}
	if err := c.lateMounts(p, inProc); err != nil {
		return err
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

var namespaceFlags = map[specs.LinuxNamespaceType]int{
	specs.MountNamespace: unix.CLONE_NEWNS, specs.PIDNamespace: unix.CLONE_NEWPID, specs.NetworkNamespace: unix.CLONE_NEWNET,
	specs.IPCNamespace: unix.CLONE_NEWIPC, specs.UTSNamespace: unix.CLONE_NEWUTS, specs.CgroupNamespace: unix.CLONE_NEWCGROUP,
}

// enterNamespaces moves the thread into the container's namespaces, but for
// the PID and cgroup ones: the first is entered by being forked into, the
// second only after the cgroup, so that it has its top there.
func (c *creation) enterNamespaces() error {
	flags := unix.CLONE_NEWNS
	for _, ns := range c.spec.Linux.Namespaces {
		flag, ok := namespaceFlags[ns.Type]
		switch {
		case !ok:
			return fmt.Errorf("namespaces of type %q are not supported", ns.Type)
		case ns.Path != "":
			if err := setnsPath(ns.Path, flag); err != nil {
				return fmt.Errorf("join the %s namespace: %w", ns.Type, err)
			}
		case ns.Type == specs.NetworkNamespace && c.cfg.NetNS != nil:
		case ns.Type != specs.PIDNamespace && ns.Type != specs.CgroupNamespace:
			flags |= flag
		}
	}
	if c.cfg.NetNS != nil {
		if err := unix.Setns(int(c.cfg.NetNS.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("join the network namespace: %w", err)
		}
	}
	if err := unix.Unshare(flags); err != nil {
		return fmt.Errorf("make the namespaces: %w", err)
	}
	if c.hasNew(specs.UTSNamespace) {
		if c.spec.Hostname != "" {
			if err := unix.Sethostname([]byte(c.spec.Hostname)); err != nil {
				return fmt.Errorf("set the host name %q: %w", c.spec.Hostname, err)
			}
		}
		if c.spec.Domainname != "" {
			if err := unix.Setdomainname([]byte(c.spec.Domainname)); err != nil {
				return fmt.Errorf("set the domain name %q: %w", c.spec.Domainname, err)
			}
		}
	}
	return nil
}

func (c *creation) hasNew(t specs.LinuxNamespaceType) bool {
	for _, ns := range c.spec.Linux.Namespaces {
		if ns.Type == t {
			return ns.Path == ""
		}
	}
	return false
}

func setnsPath(name string, flag int) error {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, flag)
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
func (c *creation) lateMounts(p *program, inProc hidden) error {
	for _, m := range c.late {
		o := parseOptions(m.Options)
		if m.Type == "proc" {
			p.mountProc(m.Destination, o.flags)
			if m.Destination == "/proc" {
				p.hideInProc(inProc, o.flags)
			}
			continue
		}
		if err := c.cgroupMounts(p, m.Destination, o.flags); err != nil {
			return err
		}
	}
	return nil
}

func (c *creation) cgroupMounts(p *program, at string, flags uintptr) error {
	if cgroup.Version() == 2 {
		p.add("mount cgroup2", must, unix.SYS_MOUNT, p.str("cgroup"), p.str(at), p.str("cgroup2"), flags, 0)
		return nil
	}
	// v1: a small tmpfs with one directory for each hierarchy. The writable
	// tmpfs is made read-only once the child has mounted on it.
	if err := unix.Mount("tmpfs", at, "tmpfs", flags&^unix.MS_RDONLY, "mode=755,size=64k"); err != nil {
		return fmt.Errorf("mount %s: %w", at, err)
	}
	for _, h := range cgroup.Mounts() {
		dir := path.Join(at, h.Name)
		if err := unix.Mkdir(dir, 0o755); err != nil {
			return fmt.Errorf("make %s: %w", dir, err)
		}
		p.add("mount the cgroups "+h.Name, must, unix.SYS_MOUNT, p.str("cgroup"), p.str(dir), p.str(h.Type), flags, p.str(h.Options))
	}
	for _, h := range cgroup.Mounts() {
		for _, name := range strings.Split(h.Options, ",") {
			if h.Type == "cgroup" && name != h.Name && !strings.Contains(name, "=") {
				if err := unix.Symlink(h.Name, path.Join(at, name)); err != nil && err != unix.EEXIST {
					return err
				}
			}
		}
	}
	return unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND|flags, "")
}

// StartTicks reads field 22 of /proc/<pid>/stat: when the process began, which
// tells it from a later one with the same number. It is 0 for none.
func StartTicks(pid int) uint64 {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The command's name, in parentheses, may hold anything; count from its end.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 20 {
		return 0
	}
	n, _ := strconv.ParseUint(fields[19], 10, 64)
	return n
}
