package runtime

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"compose/internal/sealed"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// busyboxLower is one layer with Debian's static busybox, shared by all tests.
func busyboxLower(t testing.TB) string {
	t.Helper()
	dir, err := sharedLayer()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var sharedLayer = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "compose-runtime-layer-")
	if err != nil {
		return "", err
	}
	for _, d := range []string{"bin", "etc", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return "", err
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return "", fmt.Errorf("the tests need Debian's busybox-static: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin/busybox"), program, 0o755); err != nil {
		return "", err
	}
	applets, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		return "", err
	}
	for _, a := range strings.Fields(string(applets)) {
		_ = os.Symlink("busybox", filepath.Join(dir, "bin", a))
	}
	for name, text := range map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:web:/srv:/bin/sh\n",
		"group":  "root:x:0:\nweb:x:1001:\nstaff:x:50:web,root\nother:x:60:\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
})

// TestMain makes sure that the tests have left nothing behind.
func TestMain(m *testing.M) {
	// As a supervisor is: what is not sealed runs the init first.
	if err := sealed.Again(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if hook := os.Getenv("COMPOSE_RUNTIME_TEST"); hook != "" {
		os.Exit(helper(hook))
	}
	before := leftovers()
	code := m.Run()
	if dir, err := sharedLayer(); err == nil {
		os.RemoveAll(dir)
	}
	left := more(before)
	for deadline := time.Now().Add(time.Minute); len(left) > 0 && time.Now().Before(deadline); left = more(before) {
		// A finalizer may still hold a file of a test, and the kernel a group.
		goruntime.GC()
		time.Sleep(20 * time.Millisecond)
	}
	for _, what := range left {
		fmt.Println("left behind:", what)
		code = 1
	}
	os.Exit(code)
}

// more lists what there is more of than before.
func more(before map[string]int) (list []string) {
	for what, n := range leftovers() {
		if n > before[what] {
			list = append(list, fmt.Sprintf("%d more %s", n-before[what], what))
		}
	}
	return list
}

// leftovers counts what a container consists of: of this process only, so that
// tests of other packages may run beside these.
func leftovers() map[string]int {
	count := map[string]int{}
	tag := fmt.Sprintf("compose-test-%d-", os.Getpid())
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + tag + "*")
	pure, _ := filepath.Glob("/sys/fs/cgroup/" + tag + "*")
	count["cgroups"] = len(groups) + len(pure)
	children, _ := filepath.Glob("/proc/self/task/*/children")
	for _, c := range children {
		text, _ := os.ReadFile(c)
		count["child processes"] += len(strings.Fields(string(text)))
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	layer, _ := sharedLayer()
	for line := range bytes.Lines(mounts) { // others make and remove mounts of their own
		if bytes.Contains(line, []byte("/Test")) || layer != "" && bytes.Contains(line, []byte(layer)) {
			count["mounts"]++
		}
	}
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		link, _ := os.Readlink("/proc/self/fd/" + fd.Name())
		if !strings.Contains(link, "eventpoll") && !strings.Contains(link, "eventfd") && link != "/dev/null" && !strings.Contains(link, "memfd:exe") && !strings.Contains(link, "bpf-prog") {
			count["descriptors"]++
		}
	}
	return count
}

// newConfig is a container over a busybox layer that runs args.
func newConfig(t testing.TB, args ...string) Config {
	t.Helper()
	var id [8]byte
	_, _ = rand.Read(id[:])
	name := hex.EncodeToString(id[:])
	spec := DefaultSpec()
	spec.Process.Args = args
	profile, err := DefaultSeccomp(spec)
	if err != nil {
		t.Fatal(err)
	}
	spec.Linux.Seccomp = profile
	base := t.TempDir()
	cfg := Config{
		ID: name, Spec: spec, CgroupPath: fmt.Sprintf("compose-test-%d-%s", os.Getpid(), name),
		RootFS: RootFS{Lowers: []string{busyboxLower(t)}, Upper: filepath.Join(base, "upper"), Work: filepath.Join(base, "work")},
	}
	for _, d := range []string{cfg.RootFS.Upper, cfg.RootFS.Work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := DeleteCgroup(cfg.CgroupPath); err != nil {
			t.Error(err)
		}
	})
	return cfg
}

// output runs the container to its end and returns what it printed and how it ended.
func output(t testing.TB, cfg Config) (string, unix.WaitStatus) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cfg.Stdout, cfg.Stderr = w, w
	c, err := Create(cfg)
	if err != nil {
		w.Close()
		t.Fatal(err)
	}
	defer c.PIDFD.Close()
	err = c.Start()
	w.Close()
	if err != nil {
		_, _ = Reap(c.PID)
		t.Fatal(err)
	}
	text, _ := io.ReadAll(r)
	status, err := Reap(c.PID)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), status
}

// running starts cfg and ends it with the test.
func running(t testing.TB, cfg Config) *Container {
	t.Helper()
	c, err := Create(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = Signal(c.PIDFD, unix.SIGKILL)
		_, _ = Reap(c.PID)
		c.PIDFD.Close()
		if c.Console != nil {
			c.Console.Close()
		}
	})
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// inside runs a command in a running container and returns its output.
func inside(t testing.TB, c *Container, cfg Config, change func(*specs.Process), args ...string) (string, unix.WaitStatus) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := *cfg.Spec.Process
	p.Args = args
	if change != nil {
		change(&p)
	}
	x, err := Exec(ExecTarget{PID: c.PID, PIDFD: c.PIDFD, CgroupPath: cfg.CgroupPath}, &p, cfg.Spec.Linux.Seccomp, nil, [3]*os.File{nil, w, w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer x.PIDFD.Close()
	text, _ := io.ReadAll(r)
	status, err := Reap(x.PID)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), status
}

func sh(t testing.TB, script string) Config { return newConfig(t, "sh", "-c", script) }

func TestRunsToItsEnd(t *testing.T) {
	text, status := output(t, sh(t, "echo hello; exit 3"))
	if text != "hello\n" || status.ExitStatus() != 3 {
		t.Errorf("printed %q and ended with %d", text, status.ExitStatus())
	}
}

func TestSeesItsOwnNamespaces(t *testing.T) {
	cfg := sh(t, "hostname; echo $$; ls /proc | grep -c '^[0-9]'; ip link | grep -c '^[0-9]'; for n in mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done")
	cfg.Spec.Hostname = "box"
	text, _ := output(t, cfg)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 10 || lines[0] != "box" || lines[1] != "1" || lines[3] != "1" {
		t.Fatalf("inside:\n%s", text)
	}
	for _, ns := range lines[4:] {
		kind, _, _ := strings.Cut(ns, ":")
		own, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil || own == ns {
			t.Errorf("the %s namespace is the host's (%s, %v)", kind, own, err)
		}
	}
}

func TestLeavesNoMountOnTheHost(t *testing.T) {
	cfg := newConfig(t, "sleep", "1000")
	c, err := Create(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.PIDFD.Close()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(mounts, []byte(cfg.RootFS.Upper)) {
		t.Error("the container's root shows in the host's mounts")
	}
	if err := Signal(c.PIDFD, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	status, err := Reap(c.PID)
	if err != nil || status.Signal() != unix.SIGKILL {
		t.Errorf("ended by %v (%v), want SIGKILL", status.Signal(), err)
	}
}

func TestNoDescriptorLeaks(t *testing.T) {
	extra, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	if _, err := unix.FcntlInt(extra.Fd(), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
	text, _ := output(t, newConfig(t, "ls", "/proc/self/fd"))
	if got := strings.Fields(text); fmt.Sprint(got) != "[0 1 2 3]" { // 3 is ls reading the directory
		t.Errorf("descriptors inside: %v", got)
	}
}

func TestWorkingDirectoryCannotBeADescriptor(t *testing.T) {
	for fd := 3; fd < 80; fd++ {
		cfg := newConfig(t, "true")
		cfg.Spec.Process.Cwd = fmt.Sprintf("/proc/self/fd/%d", fd)
		c, err := Create(cfg)
		if err == nil {
			err = c.Start()
			if err == nil {
				t.Errorf("descriptor %d was a working directory", fd)
			}
			_, _ = Reap(c.PID)
			c.PIDFD.Close()
		}
		if fd == 8 {
			fd = 62 // on to where the preparation's own copies stand
		}
	}
}

func TestProgramThatCannotRun(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		msg  string
	}{
		{[]string{"nope"}, 127, `exec: "nope": executable file not found in $PATH`},
		{[]string{"/no/such"}, 127, `exec: "/no/such": stat /no/such: no such file or directory`},
		{[]string{"/etc/passwd"}, 126, `exec: "/etc/passwd": permission denied`},
		{[]string{"/etc"}, 126, `exec: "/etc": is a directory`},
	} {
		made, err := Create(newConfig(t, c.args...))
		if err != nil {
			t.Fatal(err)
		}
		err = made.Start()
		var exec *ExecError
		if !errors.As(err, &exec) || exec.Code != c.code || exec.Msg != c.msg {
			t.Errorf("%v: %v, want %d %s", c.args, err, c.code, c.msg)
		}
		_, _ = Reap(made.PID)
		made.PIDFD.Close()
	}
}

func TestUsers(t *testing.T) {
	for user, want := range map[string]string{
		"":         "uid=0(root) gid=0(root) groups=0(root),50(staff)",
		"web":      "uid=1000(web) gid=1001(web) groups=50(staff),1001(web)",
		"1000":     "uid=1000(web) gid=1001(web) groups=50(staff),1001(web)",
		"4321":     "uid=4321 gid=0(root) groups=0(root)",
		"web:root": "uid=1000(web) gid=0(root) groups=0(root)",
		"7:60":     "uid=7 gid=60(other) groups=60(other)",
	} {
		cfg := newConfig(t, "id")
		cfg.Spec.Process.User.Username = user
		text, _ := output(t, cfg)
		if strings.TrimSpace(text) != want {
			t.Errorf("user %q: %swant %s", user, text, want)
		}
	}
	cfg := newConfig(t, "id")
	cfg.Spec.Process.User.Username = "nobody-knows"
	if _, err := Create(cfg); err == nil || !strings.Contains(err.Error(), "unable to find user nobody-knows") {
		t.Errorf("unknown user: %v", err)
	}
}

func TestConfinement(t *testing.T) {
	text, _ := output(t, sh(t, `
grep -E '^(CapEff|CapBnd|Seccomp|NoNewPrivs):' /proc/self/status
wc -c < /proc/kcore; ls /sys/firmware | wc -l
echo x 2>/dev/null > /proc/sys/kernel/hostname || echo read-only sysctl
touch /sys/x 2>/dev/null || echo read-only sys
touch /sys/fs/cgroup/x 2>/dev/null || echo read-only cgroup
mknod /tmp/kmsg c 1 11 && (head -c1 /tmp/kmsg 2>/dev/null || echo device refused)
unshare -U true 2>/dev/null || echo userns refused
mount -t tmpfs x /tmp 2>/dev/null || echo mount refused
ls /dev | tr '\n' ' '; cat /proc/self/cgroup | head -1
`))
	for _, want := range []string{
		"CapEff:\t00000000a80425fb", "CapBnd:\t00000000a80425fb", "Seccomp:\t2", "NoNewPrivs:\t0",
		"read-only sysctl", "read-only sys", "read-only cgroup", "device refused", "userns refused", "mount refused",
		"fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("inside does not show %q:\n%s", want, text)
		}
	}
}

// TestAmbientCapabilities gives the ambient capabilities that the kernel can
// give; more than those are asked for by the bundles that runc makes.
func TestAmbientCapabilities(t *testing.T) {
	cfg := newConfig(t, "grep", "CapAmb", "/proc/self/status")
	both := []string{"CAP_KILL", "CAP_CHOWN"}
	cfg.Spec.Process.Capabilities = &specs.LinuxCapabilities{
		Bounding: both, Effective: both, Permitted: both, Inheritable: []string{"CAP_KILL"}, Ambient: both,
	}
	if text, _ := output(t, cfg); strings.TrimSpace(text) != "CapAmb:\t0000000000000020" {
		t.Errorf("%s", text)
	}
}
