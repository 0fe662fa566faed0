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
	var c *Container
	err := onThread(func() error {
		made, err := (&creation{cfg: cfg, spec: spec, join: join, exe: exe}).run()
		c = made
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
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
	root int      // O_PATH of the root file system, before the pivot
	fds  int      // O_PATH of /proc/self/fd of the host, which the pivot takes out of reach
	late []specs.Mount
}

func (c *creation) run() (*Container, error) {
	if err := c.enterNamespaces(); err != nil {
		return nil, err
	}
	if err := unix.Mount("", "/", "", rootPropagation(c.spec), ""); err != nil {
		return nil, fmt.Errorf("cut the mounts off from the host's: %w", err)
	}
	dir, err := c.cfg.RootFS.mount()
	if err != nil {
		return nil, err
	}
	if c.root, err = unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, err
	}
	defer unix.Close(c.root)
	if c.late, err = mountAll(c.root, c.spec.Mounts); err != nil {
		return nil, err
	}
	if err := fillDev(c.root, c.spec.Linux.Devices); err != nil {
		return nil, err
	}
	if err := c.prepareDir(); err != nil {
		return nil, err
	}
	who, err := lookupAccount(c.root, c.spec.Process.User, c.cfg.Groups)
	if err != nil {
		return nil, err
	}
	var term *terminal
	if c.spec.Process.Terminal {
		if term, err = openTerminal(c.root, c.spec.Process.ConsoleSize); err != nil {
			return nil, err
		}
		defer term.slave.Close()
		if err := term.bindConsole(c.root); err != nil {
			return nil, err
		}
	}
	if err := writeSysctls(c.spec.Linux.Sysctl); err != nil {
		return nil, err
	}
	if c.spec.Root != nil && c.spec.Root.Readonly {
		if err := remountBind(c.root, fdPath(c.root), unix.MS_RDONLY); err != nil {
			return nil, err
		}
	}
	if c.fds, err = unix.Open("/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, err
	}
	defer unix.Close(c.fds)
	if err := pivot(dir); err != nil {
		return nil, err
	}
	made, err := c.fork(who, term)
	if err != nil && term != nil {
		term.master.Close()
	}
	return made, err
}

// rootPropagation is how mounts of the host and the container hear of each
// other: not at all, unless the Spec or a mount of it asks to hear the host's.
func rootPropagation(spec *specs.Spec) uintptr {
	if p, ok := propagations[spec.Linux.RootfsPropagation]; ok {
		return p | unix.MS_REC
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

// fork starts PID 1 and brings it to the point where it waits for Start.
func (c *creation) fork(who account, term *terminal) (*Container, error) {
	f, err := newForker(c.stdio(term))
	if err != nil {
		return nil, err
	}
	defer f.closeChildSide()
	if c.exe != nil {
		if f.initExe, err = dupHigh(c.exe); err != nil {
			f.abandon()
			return nil, err
		}
	}
	p := &f.program
	f.begin(c.join)
	if c.hasNew(specs.CgroupNamespace) {
		p.add("make the cgroup namespace", must, unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP)
	}
	if err := c.lateMounts(p); err != nil {
		f.abandon()
		return nil, err
	}
	f.handshake()
	if err := f.finish(c.spec.Process, c.spec.Linux.Seccomp, who, term != nil); err != nil {
		f.abandon()
		return nil, err
	}

	args := cloneArgs{exitSignal: uint64(unix.SIGCHLD)}
	if c.hasNew(specs.PIDNamespace) {
		args.flags |= unix.CLONE_NEWPID
	}
	made, err := f.start(&args, c.join)
	if err != nil {
		return nil, err
	}
	// From here on a child exists; what fails ends it.
	if err := made.release.await(); err != nil {
		made.Discard()
		return nil, err
	}
	if err := c.hidePaths(); err != nil {
		made.Discard()
		return nil, err
	}
	if adj := c.spec.Process.OOMScoreAdj; adj != nil {
		made.release.oomScoreAdj = *adj
	}
	if term != nil {
		made.Console = term.master
	}
	return made, nil
}

func (c *creation) stdio(term *terminal) [3]*os.File {
	if term != nil {
		return [3]*os.File{term.slave, term.slave, term.slave}
	}
	return [3]*os.File{c.cfg.Stdin, c.cfg.Stdout, c.cfg.Stderr}
}

// lateMounts adds the mounts that show the namespaces of whoever makes them.
func (c *creation) lateMounts(p *program) error {
	for _, m := range c.late {
		o := parseOptions(m.Options)
		if m.Type == "proc" {
			p.add("mount proc", must, unix.SYS_MOUNT, p.str("proc"), p.str(m.Destination), p.str("proc"), o.flags, 0)
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
