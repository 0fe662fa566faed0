package runtime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"compose/engine/runtime/cgroup"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// The child's descriptors while it prepares. All others are closed first
// thing, so that it keeps no pipe or socket of its parent alive.
const (
	fdVerdict  = 3 // close-on-exec: closes when the program runs
	fdInit     = 4 // close-on-exec: our own binary, where it is the reaper
	fdGo       = 5
	fdMounted  = 6
	fdTasks    = 7  // and following, one for each v1 hierarchy
	fdSafeBase = 64 // where copies stand that must not be overwritten meanwhile
)

// forker builds a program and forks the process that runs it.
type forker struct {
	program program
	name    string // of what is to run, for the error text

	stdio        [3]int
	verdictRead  *os.File
	verdictWrite int
	goRead       int
	goWrite      *os.File
	mountedRead  *os.File
	mountedWrite int
	initExe      int
	tasks        []int
}

func newForker(stdio [3]*os.File) (*forker, error) {
	f := &forker{stdio: [3]int{-1, -1, -1}, verdictWrite: -1, goRead: -1, mountedWrite: -1, initExe: -1}
	ok := false
	defer func() {
		if !ok {
			f.closeChildSide()
			f.closeParentSide()
		}
	}()
	for i, file := range stdio {
		var err error
		if file == nil {
			f.stdio[i], err = openHigh("/dev/null")
		} else {
			f.stdio[i], err = dupHigh(file)
		}
		if err != nil {
			return nil, fmt.Errorf("prepare the standard streams: %w", err)
		}
	}
	var err error
	if f.verdictRead, f.verdictWrite, err = pipeToParent(); err != nil {
		return nil, err
	}
	if f.mountedRead, f.mountedWrite, err = pipeToParent(); err != nil {
		return nil, err
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	f.goWrite = os.NewFile(uintptr(fds[1]), "go")
	f.goRead, err = moveHigh(fds[0])
	ok = err == nil
	return f, err
}

func openHigh(name string) (int, error) {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return -1, err
	}
	return moveHigh(fd)
}

func dupHigh(f *os.File) (fd int, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	ctlErr := conn.Control(func(old uintptr) {
		fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, fdSafeBase)
	})
	if ctlErr != nil {
		return -1, ctlErr
	}
	return fd, err
}

func moveHigh(fd int) (int, error) {
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, fdSafeBase)
	unix.Close(fd)
	return high, err
}

func pipeToParent() (*os.File, int, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, -1, err
	}
	high, err := moveHigh(fds[1])
	if err != nil {
		unix.Close(fds[0])
		return nil, -1, err
	}
	return os.NewFile(uintptr(fds[0]), "pipe"), high, nil
}

// begin adds the first steps: the descriptors, the session, the v1 cgroups.
func (f *forker) begin(join *cgroup.Join) {
	p := &f.program
	// Until the program runs, this is a copy of our memory in a place where
	// others may look: not even they may trace it.
	p.add("shield the memory", must, unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)
	for i, fd := range f.stdio {
		p.add("set up the standard streams", must, unix.SYS_DUP3, uintptr(fd), uintptr(i), 0)
	}
	place := func(fd, at int, flags uintptr) {
		p.add("arrange the descriptors", must, unix.SYS_DUP3, uintptr(fd), uintptr(at), flags)
	}
	place(f.verdictWrite, fdVerdict, unix.O_CLOEXEC)
	if f.initExe >= 0 {
		place(f.initExe, fdInit, unix.O_CLOEXEC)
	} else {
		p.add("arrange the descriptors", may, unix.SYS_CLOSE, fdInit)
	}
	place(f.goRead, fdGo, 0)
	place(f.mountedWrite, fdMounted, 0)
	last := fdTasks
	if join != nil {
		for i, file := range join.Tasks {
			fd, err := dupHigh(file)
			if err != nil {
				continue // fork fails for want of descriptors then too
			}
			f.tasks = append(f.tasks, fd)
			place(fd, fdTasks+i, 0)
			last = fdTasks + i + 1
		}
	}
	p.add("close all other descriptors", must, unix.SYS_CLOSE_RANGE, uintptr(last), ^uintptr(0), 0)
	p.add("start a session", must, unix.SYS_SETSID)
	for i := range f.tasks {
		p.add("join the cgroup", one, unix.SYS_WRITE, uintptr(fdTasks+i), p.str("0"), 1)
	}
}

// handshake adds the halt in the middle: mounts are made, the parent may
// finish what is its part, and Start says go.
func (f *forker) handshake() {
	p := &f.program
	byteBuf := ptr(p, make([]byte, 1))
	p.add("report the mounts", one, unix.SYS_WRITE, fdMounted, byteBuf, 1)
	p.add("wait for the start", one, unix.SYS_READ, fdGo, byteBuf, 1)
}

// finish adds the steps from the start to the execve.
func (f *forker) finish(proc *specs.Process, profile *specs.LinuxSeccomp, who account, tty bool) error {
	p := &f.program
	for i := range 3 {
		// So that a program that is not root can open /dev/stdout again.
		if stat, isPipe := fifoOrTTY(f.stdio[i], tty); isPipe && (stat.Uid != who.uid || stat.Gid != who.gid) {
			p.add("hand over the standard streams", may, unix.SYS_FCHOWN, uintptr(i), uintptr(who.uid), ^uintptr(0))
		}
	}
	if tty {
		p.takeTerminal()
	}
	if err := p.rlimits(proc.Rlimits); err != nil {
		return err
	}
	umask := uintptr(0o022)
	if proc.User.Umask != nil {
		umask = uintptr(*proc.User.Umask)
	}
	p.add("set the umask", must, unix.SYS_UMASK, umask)
	p.add("make a session keyring", may, unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0)
	// Before the change of directory: a working directory of /proc/self/fd/N
	// shall find no directory of the host there.
	p.add("close the preparation's descriptors", must, unix.SYS_CLOSE_RANGE, fdGo, ^uintptr(0), 0)
	p.add(fmt.Sprintf("enter the working directory %q", proc.Cwd), must, unix.SYS_CHDIR, p.str(proc.Cwd))

	if proc.NoNewPrivileges {
		p.add("set no_new_privs", must, unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	if err := p.dropBounding(proc.Capabilities); err != nil {
		return err
	}
	if !proc.NoNewPrivileges {
		// Without no_new_privs the filter takes a capability that goes next.
		if err := p.filter(profile); err != nil {
			return err
		}
	}
	groups := make([]uint32, 0, len(who.groups))
	groups = append(groups, who.groups...)
	p.add("keep the capabilities", must, unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1)
	p.add("set the groups", must, unix.SYS_SETGROUPS, uintptr(len(groups)), ptr(p, groups))
	p.add("set the group", must, unix.SYS_SETRESGID, uintptr(who.gid), uintptr(who.gid), uintptr(who.gid))
	p.add("set the user", must, unix.SYS_SETRESUID, uintptr(who.uid), uintptr(who.uid), uintptr(who.uid))
	if err := p.setCaps(proc.Capabilities); err != nil {
		return err
	}
	if proc.NoNewPrivileges {
		if err := p.filter(profile); err != nil {
			return err
		}
	}
	f.execve(proc, who)
	return nil
}

func fifoOrTTY(fd int, tty bool) (unix.Stat_t, bool) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return st, false
	}
	return st, tty || st.Mode&unix.S_IFMT == unix.S_IFIFO
}

// execve adds one attempt for each place where the program may be.
func (f *forker) execve(proc *specs.Process, who account) {
	p := &f.program
	f.name = proc.Args[0]
	env := proc.Env
	if _, ok := lookupEnv(env, "HOME"); !ok {
		env = append(append([]string{}, env...), "HOME="+who.home)
	}
	argv, envp := p.strs(proc.Args), p.strs(env)
	if f.initExe >= 0 {
		argv = p.strs(append([]string{"compose-init", "--"}, proc.Args...))
		p.add("run the init", attempt, unix.SYS_EXECVEAT, fdInit, p.str(""), argv, envp, unix.AT_EMPTY_PATH)
		return
	}
	for _, name := range candidates(proc.Args[0], env) {
		p.add("run "+proc.Args[0], attempt, unix.SYS_EXECVE, p.str(name), argv, envp)
	}
}

func candidates(name string, env []string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	search, ok := lookupEnv(env, "PATH")
	if !ok {
		search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
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

// start forks. The caller owns the container that comes back.
func (f *forker) start(args *cloneArgs, join *cgroup.Join) (*Container, error) {
	pidfd := int32(-1)
	args.flags |= unix.CLONE_PIDFD
	args.pidfd = uint64(uintptr(unsafe.Pointer(&pidfd)))
	if join != nil && join.Unified != nil {
		args.flags |= unix.CLONE_INTO_CGROUP
		args.cgroup = uint64(join.Unified.Fd())
	}
	pid, err := f.program.fork(args, fdVerdict)
	// The pipes end with the child only when it alone holds its side of them.
	f.closeChildSide()
	if err != nil {
		f.closeParentSide()
		return nil, fmt.Errorf("start a process: %w", err)
	}
	c := &Container{PID: pid, PIDFD: os.NewFile(uintptr(pidfd), "pidfd"), StartTicks: 0}
	c.release = &release{forker: f, pid: pid}
	return c, nil
}

// closeChildSide closes what was made for the child; it may be called again.
func (f *forker) closeChildSide() {
	for _, fd := range []*int{&f.stdio[0], &f.stdio[1], &f.stdio[2], &f.verdictWrite, &f.goRead, &f.mountedWrite, &f.initExe} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
	for _, fd := range f.tasks {
		unix.Close(fd)
	}
	f.tasks = nil
}

func (f *forker) closeParentSide() {
	for _, file := range []*os.File{f.verdictRead, f.goWrite, f.mountedRead} {
		if file != nil {
			file.Close()
		}
	}
}

// abandon gives up before the fork.
func (f *forker) abandon() { f.closeParentSide() }

// release is the parent's side of a child that waits or runs.
type release struct {
	forker      *forker
	pid         int
	oomScoreAdj int
}

// await waits for the child to be at its halt.
func (r *release) await() error {
	n, err := r.forker.mountedRead.Read(make([]byte, 1))
	if n == 1 {
		return nil
	}
	if why := r.verdict(); why != nil {
		return why
	}
	return fmt.Errorf("the container's first process ended at once: %w", err)
}

// verdict reads what the child has to say: nil once its program runs.
func (r *release) verdict() error {
	var buf [8]byte
	_, err := io.ReadFull(r.forker.verdictRead, buf[:])
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	p := &r.forker.program
	i := int(binary.NativeEndian.Uint32(buf[:4]))
	errno := unix.Errno(binary.NativeEndian.Uint32(buf[4:]))
	if i >= len(p.steps) {
		return fmt.Errorf("the container's first process failed: %w", errno)
	}
	if p.ops[i].rule == attempt {
		return execError(r.forker, errno)
	}
	if errno == 0 {
		errno = unix.ECANCELED
	}
	return &stepError{p.steps[i], errno}
}

// Start lets the container's program run. It returns when execve has
// succeeded, or why not: *ExecError for the program's own fault. The process
// has ended then, and the caller reaps it.
func (c *Container) Start() error {
	r := c.release
	if r == nil {
		return errors.New("the container was started before")
	}
	c.release = nil
	defer r.forker.closeParentSide()
	if r.oomScoreAdj != 0 {
		// Below our own value it takes a capability that not every host grants.
		_ = os.WriteFile("/proc/"+strconv.Itoa(r.pid)+"/oom_score_adj", []byte(strconv.Itoa(r.oomScoreAdj)), 0)
	}
	if _, err := r.forker.goWrite.Write([]byte{1}); err != nil {
		return fmt.Errorf("release the container: %w", err)
	}
	if err := r.verdict(); err != nil {
		return err
	}
	c.StartTicks = StartTicks(c.PID)
	return nil
}

// Discard ends a container that was not started, and reaps it.
func (c *Container) Discard() {
	if c.release != nil {
		c.release.forker.closeParentSide()
		c.release = nil
	}
	_ = unix.PidfdSendSignal(int(c.PIDFD.Fd()), unix.SIGKILL, nil, 0)
	_, _ = Reap(c.PID)
	c.PIDFD.Close()
}

// Reap waits for a child of this process and returns its wait status.
func Reap(pid int) (unix.WaitStatus, error) {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if err != unix.EINTR {
			return status, err
		}
	}
}

// execError puts a failed execve in Docker's words.
func execError(f *forker, errno unix.Errno) error {
	name := f.name
	switch {
	case errno == 0:
		errno = unix.ENOENT
		fallthrough
	case errno == unix.ENOENT || errno == unix.ENOTDIR:
		if !strings.Contains(name, "/") {
			return &ExecError{CodeNotFound, fmt.Sprintf("exec: %q: executable file not found in $PATH", name), errno}
		}
		return &ExecError{CodeNotFound, fmt.Sprintf("exec: %q: stat %s: %v", name, name, errno), errno}
	case errno == unix.EACCES:
		return &ExecError{CodeNotExecutable, fmt.Sprintf("exec: %q: permission denied", name), errno}
	}
	return &ExecError{CodeNotExecutable, fmt.Sprintf("exec %s: %v", name, errno), errno}
}
