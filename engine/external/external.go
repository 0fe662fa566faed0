// Package external has containers made by another OCI runtime that is
// installed on the host: it is handed a bundle and told create, start, exec,
// kill and delete on its command line.
package external

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"compose/engine/runtime"
	"compose/engine/runtime/initproc"
	"compose/internal/timerslack"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Runtime is a runtime as it looks after one container.
type Runtime struct {
	Path   string   // of the program
	Args   []string // that come before the command
	Root   string   // where it keeps its state
	Bundle string   // directory of the container's bundle
	Init   string   // directory for our own binary, which is the init of containers that want one
	ID     string   // of the container
}

// Container is one that Create has made. Its first process is no child of
// ours: whoever adopts orphans is its parent.
type Container struct {
	PID        int
	PIDFD      *os.File
	StartTicks uint64
	Console    *os.File // the terminal's master side, where Spec.Process.Terminal
}

// Create has the container made, up to the run of its program. The root file
// system is mounted only where the runtime sees it, so that nothing is left on
// the host whatever happens.
func (r *Runtime) Create(cfg runtime.Config) (*Container, error) {
	for _, dir := range []string{r.Root, r.Bundle} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	if err := r.forget(); err != nil { // what a crash has left
		return nil, err
	}
	pidFile := filepath.Join(r.Bundle, "pid")
	args := []string{"create", "--bundle", r.Bundle, "--pid-file", pidFile}
	var console *consoleSocket
	if cfg.Spec.Process.Terminal {
		var err error
		if console, err = listenConsole(r.Bundle); err != nil {
			return nil, err
		}
		defer console.close()
		args = append(args, "--console-socket", console.path)
	}
	held, err := openSources(cfg.Spec.Mounts)
	if err != nil {
		return nil, err
	}
	defer held.close()
	err = runtime.InMountNS(cfg.RootFS, func(root *os.File) error {
		spec, err := r.bundleSpec(&cfg, root)
		if err != nil {
			return err
		}
		if err := held.attach(spec.Mounts, filepath.Join(r.Bundle, "mounts")); err != nil {
			return err
		}
		data, err := json.Marshal(spec)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(r.Bundle, "config.json"), data, 0o600); err != nil {
			return err
		}
		unix.Umask(0o022) // this thread's own; the runtime makes what the image lacks with it
		return r.run([3]*os.File{cfg.Stdin, cfg.Stdout, cfg.Stderr}, append(args, r.ID)...)
	})
	if err != nil {
		return nil, err
	}
	c := new(Container)
	if err := c.find(pidFile); err != nil {
		return nil, errors.Join(err, r.Delete())
	}
	if console != nil {
		if c.Console, err = console.receive(); err != nil {
			c.PIDFD.Close()
			return nil, errors.Join(err, r.Delete())
		}
	}
	return c, nil
}

func (c *Container) find(pidFile string) error {
	data, err := os.ReadFile(pidFile)
	if err != nil {
		return fmt.Errorf("the runtime has not told the container's process: %w", err)
	}
	if c.PID, err = strconv.Atoi(strings.TrimSpace(string(data))); err != nil {
		return fmt.Errorf("the runtime has not told the container's process: %w", err)
	}
	fd, err := unix.PidfdOpen(c.PID, 0)
	if err != nil {
		return fmt.Errorf("find the container's process: %w", err)
	}
	c.PIDFD, c.StartTicks = os.NewFile(uintptr(fd), "pidfd"), runtime.StartTicks(c.PID)
	return nil
}

// specVersion is that of the OCI's specification which runtimes are told: the
// oldest that has all we ask for, because each knows those up to its own.
const specVersion = "1.0.2"

// bundleSpec makes of what our own runtime takes a bundle's configuration:
// users by number, paths that the other program finds.
func (r *Runtime) bundleSpec(cfg *runtime.Config, root *os.File) (*specs.Spec, error) {
	spec, process, linux := *cfg.Spec, *cfg.Spec.Process, *cfg.Spec.Linux
	spec.Process, spec.Linux = &process, &linux
	spec.Version = specVersion
	dir, err := os.Readlink("/proc/thread-self/fd/" + strconv.Itoa(int(root.Fd())))
	if err != nil {
		return nil, err
	}
	readonly := spec.Root != nil && spec.Root.Readonly
	spec.Root = &specs.Root{Path: dir, Readonly: readonly}
	user, home, err := runtime.LookupUser(root, process.User, cfg.Groups)
	if err != nil {
		return nil, err
	}
	process.User = user
	process.Env = withHome(process.Env, home)
	linux.CgroupsPath = "/" + cfg.CgroupPath
	linux.Namespaces = slices.Clone(linux.Namespaces)
	for i := range linux.Namespaces {
		if ns := &linux.Namespaces[i]; ns.Type == specs.NetworkNamespace && ns.Path == "" && cfg.NetNS != nil {
			ns.Path = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), cfg.NetNS.Fd())
		}
	}
	spec.Mounts = slices.Clone(spec.Mounts)
	if cfg.Init {
		self, err := provideInit(r.Init)
		if err != nil {
			return nil, err
		}
		at := "/sbin/" + initproc.Name
		spec.Mounts = append(spec.Mounts, specs.Mount{Destination: at, Type: "bind", Source: self, Options: []string{"bind", "ro", "rprivate"}})
		process.Args = append([]string{at, "--"}, process.Args...)
	}
	spec.Annotations = maps.Clone(spec.Annotations)
	return &spec, nil
}

func withHome(env []string, home string) []string {
	if slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "HOME=") }) {
		return env
	}
	return append(slices.Clone(env), "HOME="+home)
}

// Start releases the container's program. A program that cannot be run gives a
// *runtime.ExecError.
func (r *Runtime) Start() error { return r.run([3]*os.File{}, "start", r.ID) }

// Waits says that the container was made and waits for Start.
func (r *Runtime) Waits() bool {
	var state specs.State
	out, err := r.command(os.DevNull, "state", r.ID).Output()
	return err == nil && json.Unmarshal(out, &state) == nil && state.Status == specs.StateCreated
}

// Kill sends a signal to the container's first process.
func (r *Runtime) Kill(sig unix.Signal) error {
	return r.run([3]*os.File{}, "kill", r.ID, strconv.Itoa(int(sig)))
}

// Delete ends the container and forgets it. One that is not there is no error.
func (r *Runtime) Delete() error {
	if err := r.forget(); err != nil {
		return err // with its bundle it would be forgotten that there is something to forget
	}
	err := os.RemoveAll(r.Bundle)
	_ = os.Remove(r.Root) // goes with the last
	_ = os.Remove(filepath.Dir(r.Root))
	return err
}

// forget has the runtime forget the container; it may not know it at all.
func (r *Runtime) forget() error {
	if _, err := os.Stat(filepath.Join(r.Bundle, "config.json")); err != nil {
		return nil
	}
	if err := r.run([3]*os.File{}, "delete", "--force", r.ID); errors.Is(err, errNotRun) {
		return err
	}
	return nil
}

// errNotRun says that the runtime's program itself did not come to run, as
// where there is no room for a process.
var errNotRun = errors.New("cannot run the runtime")

// command is one invocation of the runtime, with a log that errors are read
// from: its standard error may be the container's.
func (r *Runtime) command(log string, args ...string) *exec.Cmd {
	all := append(slices.Clone(r.Args), "--root", r.Root, "--log", log, "--log-format", "json")
	return exec.Command(r.Path, append(all, args...)...)
}

func (r *Runtime) run(stdio [3]*os.File, args ...string) error {
	log := filepath.Join(r.Bundle, "log."+args[0])
	defer os.Remove(log)
	cmd := r.command(log, args...)
	for i, to := range []func(*os.File){
		func(f *os.File) { cmd.Stdin = f }, func(f *os.File) { cmd.Stdout = f }, func(f *os.File) { cmd.Stderr = f },
	} {
		if stdio[i] != nil {
			to(stdio[i])
		}
	}
	// It dies with us, or it would go on beside whoever takes our place. The
	// kernel goes by the thread.
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	err := timerslack.Outside(cmd.Run)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &exit):
		return fmt.Errorf("%w: %w", errNotRun, err)
	}
	return r.explain(args[0], log, err)
}

// explain says why the runtime has failed, in its own words.
func (r *Runtime) explain(verb, log string, err error) error {
	said := lastError(log)
	lower := strings.ToLower(said)
	for _, text := range []string{"not found in $path", "no such file or directory: oci runtime", "exec: no such file", "executable file not found"} {
		if strings.Contains(lower, text) {
			return &runtime.ExecError{Code: runtime.CodeNotFound, Msg: said, Err: unix.ENOENT}
		}
	}
	if verb != "delete" && strings.Contains(lower, "exec") && (strings.Contains(lower, "permission denied") || strings.Contains(lower, "is a directory")) {
		return &runtime.ExecError{Code: runtime.CodeNotExecutable, Msg: said, Err: unix.EACCES}
	}
	if said == "" {
		return fmt.Errorf("the runtime %s cannot %s the container: %w", filepath.Base(r.Path), verb, err)
	}
	return fmt.Errorf("the runtime %s cannot %s the container: %s", filepath.Base(r.Path), verb, said)
}

// lastError is the last message in a runtime's log that tells of a failure.
func lastError(log string) string {
	data, _ := os.ReadFile(log)
	said := ""
	for line := range strings.Lines(string(data)) {
		var m struct{ Level, Msg string }
		if json.Unmarshal([]byte(line), &m) == nil && (m.Level == "error" || m.Level == "fatal") {
			said = m.Msg
		}
	}
	return strings.ReplaceAll(strings.TrimSpace(said), "\n", " ")
}
