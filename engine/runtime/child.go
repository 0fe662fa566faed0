package runtime

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"compose/engine/runtime/cgroup"
	"compose/engine/runtime/initproc"
	"compose/internal/timerslack"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// The steps of a child, in their order: begin, what the container needs of
// mounts, halt, finish.

// child is what its steps are made from.
type child struct {
	process *specs.Process
	seccomp *specs.LinuxSeccomp
	who     account
	stdio   [3]*os.File
	tty     bool
	exe     *os.File // our own binary where it is to run first
	init    bool     // as the reaper, and not only to run the program in its place
	ids     *ids     // of the container, where it has a user namespace
	label   *label   // the AppArmor profile, or nil
	stat    func(string, *unix.Stat_t) error
	join    *cgroup.Join
}

// hostNull is what a stream that nobody wants is connected to.
var hostNull = sync.OnceValues(func() (*os.File, error) { return os.OpenFile("/dev/null", os.O_RDWR, 0) })

// begin adds the first steps: the descriptors, the session, the v1 cgroups.
// keep are further descriptors that steps before the halt use.
func (l *launch) begin(c *child, keep ...int) error {
	p := &l.program
	// Others in the container may look at this process, and what it holds is
	// the memory of ours: not even its own user may trace it.
	p.add("shield the memory", must, unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)
	for i, file := range c.stdio {
		fd, err := l.stream(file)
		if err != nil {
			return fmt.Errorf("prepare the standard streams: %w", err)
		}
		p.add("set up the standard streams", must, unix.SYS_DUP3, uintptr(fd), uintptr(i), 0)
	}
	keep = append(keep, l.readyW, l.goR)
	if l.gate != nil {
		keep = append(keep, int(l.gate.Start.Fd()), int(l.gate.Result.Fd()))
	}
	if c.exe != nil {
		keep = append(keep, int(c.exe.Fd()))
	}
	if c.ids != nil {
		keep = append(keep, int(c.ids.ns.Fd()))
	}
	if c.label != nil {
		keep = append(keep, int(c.label.proc.Fd()))
	}
	var tasks []int
	if c.join != nil {
		tasks = c.join.Tasks
		if c.join.Unified != nil {
			// By number, taken before the fork: who closes the file does it once
			// the child has reported from inside, but by a pipe, which tells the
			// race detector nothing.
			l.args.flags |= unix.CLONE_INTO_CGROUP
			l.args.cgroup = uint64(c.join.Unified.Fd())
		}
	}
	// First thing, so that the child keeps no pipe or socket of ours alive.
	p.closeAllBut(append(keep, tasks...))
	// One that ignores a signal would hand that on to the program.
	action := ptr(p, make([]uint64, 4))
	for sig := uintptr(1); sig < 32; sig++ {
		if sig != uintptr(unix.SIGKILL) && sig != uintptr(unix.SIGSTOP) {
			p.add("reset the signals", must, unix.SYS_RT_SIGACTION, sig, action, 0, 8)
		}
	}
	p.add("start a session", must, unix.SYS_SETSID)
	p.add("set the timer slack", may, unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, timerslack.Usual)
	zero := p.str("0")
	for _, fd := range tasks {
		p.add("join the cgroup", one, unix.SYS_WRITE, uintptr(fd), zero, 1)
	}
	return nil
}

// stream is a descriptor above the standard ones for file, or for /dev/null.
func (l *launch) stream(file *os.File) (int, error) {
	if file == nil {
		file = l.null
	}
	fd := -1
	conn, err := file.SyscallConn()
	if err != nil {
		return -1, err
	}
	ctlErr := conn.Control(func(old uintptr) {
		// Go makes its pipes non-blocking. A program is not prepared for a
		// write that says "again" and would lose what it wrote.
		if err = unix.SetNonblock(int(old), false); err == nil {
			fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 3)
		}
	})
	if err == nil {
		err = ctlErr
	}
	if err != nil {
		return -1, err
	}
	l.open = append(l.open, os.NewFile(uintptr(fd), "stream"))
	return fd, nil
}

// closeAllBut closes the gaps between the descriptors in keep, from 3 up.
func (p *program) closeAllBut(keep []int) {
	keep = slices.Clone(keep)
	slices.Sort(keep)
	next := 3
	for _, fd := range keep {
		if fd > next {
			p.add("close other descriptors", must, unix.SYS_CLOSE_RANGE, uintptr(next), uintptr(fd-1), 0)
		}
		next = max(next, fd+1)
	}
	p.add("close other descriptors", must, unix.SYS_CLOSE_RANGE, uintptr(next), uintptr(^uint32(0)), 0)
}

// halt adds the stop in the middle: the container stands, and Start says go,
// or whoever has the other end of the gate.
func (l *launch) halt() {
	if l.gate == nil {
		l.wait(l.goR)
		return
	}
	l.wait(int(l.gate.Start.Fd()))
}

// wait adds a stop until a byte comes from fd.
func (l *launch) wait(fd int) {
	l.report()
	p := &l.program
	p.add("wait for the start", one, unix.SYS_READ, uintptr(fd), ptr(p, make([]byte, 1)), 1)
}

// report adds a byte to the engine.
func (l *launch) report() {
	p := &l.program
	p.add("report to the engine", one, unix.SYS_WRITE, uintptr(l.readyW), ptr(p, make([]byte, 1)), 1)
}

// finish adds the steps from the start to the execve.
func (l *launch) finish(c *child) error {
	p, proc := &l.program, c.process
	c.label.enter(p)
	// Before the change of directory: a working directory of /proc/self/fd/N
	// shall find no directory of the host there.
	var keep []int
	if c.exe != nil {
		keep = append(keep, int(c.exe.Fd()))
	}
	if c.ids != nil {
		keep = append(keep, int(c.ids.ns.Fd())) // no directory, and closed by execve
	}
	if l.gate != nil {
		keep = append(keep, int(l.gate.Result.Fd())) // a FIFO, which execve closes
	}
	p.closeAllBut(keep)
	owner, _, err := c.ids.onHost(c.who.uid, c.who.gid)
	if err != nil {
		return err
	}
	for i, f := range c.stdio {
		// So that a program that is not root can open /dev/stdout again.
		if owner != 0 && (c.tty || isPipe(f)) {
			p.add("hand over the standard streams", may, unix.SYS_FCHOWN, uintptr(i), uintptr(owner), uintptr(^uint32(0)))
		}
	}
	if c.tty {
		p.add("take the terminal", must, unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
	}
	if err := l.rlimits(proc.Rlimits); err != nil {
		return err
	}
	umask := uintptr(0o022)
	if proc.User.Umask != nil {
		umask = uintptr(*proc.User.Umask)
	}
	p.add("set the umask", must, unix.SYS_UMASK, umask)
	p.add("make a session keyring", may, unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0)

	p.add(fmt.Sprintf("enter the working directory %q", proc.Cwd), must, unix.SYS_CHDIR, p.str(proc.Cwd))
	// The kernel's answer starts with "(unreachable)" where a link of /proc has
	// led out of the root.
	cwd := ptr(p, make([]byte, unix.PathMax))
	p.add("find the working directory", must, unix.SYS_GETCWD, cwd, unix.PathMax)
	p.add(fmt.Sprintf("enter the working directory %q, which is outside the container", proc.Cwd), absolute, 0, cwd)

	if c.ids != nil {
		// From here on it is nobody on the host, with all capabilities inside.
		p.add("enter the user namespace", must, unix.SYS_SETNS, c.ids.ns.Fd(), unix.CLONE_NEWUSER)
	}
	if proc.NoNewPrivileges {
		p.add("set no_new_privs", must, unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	if err := p.dropBounding(proc.Capabilities, c.ids != nil); err != nil {
		return err
	}
	if !proc.NoNewPrivileges {
		// Without no_new_privs the filter takes a capability that goes next.
		if err := p.filter(c.seccomp); err != nil {
			return err
		}
	}
	groups := slices.Clone(c.who.groups)
	p.add("keep the capabilities", must, unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1)
	p.add("set the groups", must, unix.SYS_SETGROUPS, uintptr(len(groups)), ptr(p, groups))
	p.add("set the group", must, unix.SYS_SETRESGID, uintptr(c.who.gid), uintptr(c.who.gid), uintptr(c.who.gid))
	p.add("set the user", must, unix.SYS_SETRESUID, uintptr(c.who.uid), uintptr(c.who.uid), uintptr(c.who.uid))
	if err := p.setCaps(proc.Capabilities); err != nil {
		return err
	}
	if proc.NoNewPrivileges {
		if err := p.filter(c.seccomp); err != nil {
			return err
		}
	}
	p.add("unblock the signals", must, unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, ptr(p, make([]uint64, 1)), 0, 8)
	return l.execve(c)
}

func isPipe(f *os.File) bool {
	if f == nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}

// execve adds one attempt for each place where the program may be.
func (l *launch) execve(c *child) error {
	p, proc := &l.program, c.process
	if len(proc.Args) == 0 {
		p.add("there is no program to run", must, unix.SYS_EXIT_GROUP, CodeNotFound)
		return nil
	}
	l.name = proc.Args[0]
	env := proc.Env
	if _, ok := lookupEnv(env, "HOME"); !ok {
		env = append(slices.Clone(env), "HOME="+c.who.home)
	}
	envp := p.strs(env)
	places := candidates(l.name, env)
	if c.exe != nil {
		// The init would find out too late for Start to tell.
		place, err := findProgram(l.name, places, c.stat)
		if err != nil {
			return err
		}
		head := []string{initproc.Name, initproc.InPlace, place}
		if c.init {
			head = []string{initproc.Name, initproc.Reap}
		}
		argv := p.strs(append(head, proc.Args...))
		p.add("run the init", attempt, unix.SYS_EXECVEAT, c.exe.Fd(), p.str(""), argv, envp, unix.AT_EMPTY_PATH)
		l.tell()
		return nil
	}
	argv := p.strs(proc.Args)
	for _, name := range places {
		p.add("run "+l.name, attempt, unix.SYS_EXECVE, p.str(name), argv, envp)
	}
	l.tell()
	return nil
}

// tell readies the texts for a child that outlives us.
func (l *launch) tell() {
	if l.gate == nil {
		return
	}
	p := &l.program
	p.report = int(l.gate.Result.Fd())
	for i, step := range p.steps {
		if p.ops[i].rule == attempt {
			step = l.name
		}
		p.texts = append(p.texts, text{p.str(step), uintptr(len(step))})
	}
}

// candidates are the paths where name may be found, as execvp(3) goes through them.
func candidates(name string, env []string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	search, ok := lookupEnv(env, "PATH")
	if !ok {
		search = strings.TrimPrefix(DefaultPath, "PATH=")
	}
	var list []string
	for _, dir := range strings.Split(search, ":") {
		if dir == "" {
			dir = "."
		}
		list = append(list, dir+"/"+name)
	}
	return list
}

func lookupEnv(env []string, key string) (string, bool) {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], key+"="); ok {
			return v, true
		}
	}
	return "", false
}
