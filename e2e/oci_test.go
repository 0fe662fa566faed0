package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// bundle makes an OCI bundle of busybox that runs a shell script, with what
// edit changes about it.
func (h *host) bundle(script string, edit func(*specs.Spec)) string {
	h.t.Helper()
	dir := h.t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		h.t.Fatal(err)
	}
	untar := exec.Command("tar", "-x", "-C", filepath.Join(dir, "rootfs"))
	untar.Stdin = strings.NewReader(string(busyboxTar(h.t)))
	if out, err := untar.CombinedOutput(); err != nil {
		h.t.Fatalf("%v: %s", err, out)
	}
	caps := []string{"CAP_KILL", "CAP_CHOWN"}
	spec := &specs.Spec{
		Version: specs.Version, Root: &specs.Root{Path: "rootfs"}, Hostname: "box",
		Process: &specs.Process{
			Args: []string{"sh", "-c", script}, Cwd: "/", Env: []string{"PATH=/bin"},
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"newinstance", "ptmxmode=0666"}},
		},
		Linux: &specs.Linux{
			MaskedPaths: []string{"/proc/kcore"}, ReadonlyPaths: []string{"/proc/sys"},
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace},
				{Type: specs.NetworkNamespace},
				{Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace},
				{Type: specs.MountNamespace},
				{Type: specs.CgroupNamespace},
			},
		},
	}
	if edit != nil {
		edit(spec)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644); err != nil {
		h.t.Fatal(err)
	}
	return dir
}

func (h *host) ociState(id string) specs.State {
	h.t.Helper()
	var s specs.State
	if err := json.Unmarshal([]byte(h.compose("oci", "state", id).ok().stdout), &s); err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *host) ociStatus(id string, want specs.ContainerState) {
	h.t.Helper()
	eventually(h.t, id+" is "+string(want), func() error {
		if got := h.ociState(id).Status; got != want {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

// ociCreate creates a container whose output goes to a file: the create ends
// while the container, which inherits the streams, lives on.
func (h *host) ociCreate(id, bundle string, flags ...string) string {
	h.t.Helper()
	out, err := os.Create(filepath.Join(bundle, "output"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer out.Close()
	cmd := h.command(h.t.Context(), h.root, append(append([]string{"oci", "create", "--bundle", bundle}, flags...), id)...)
	cmd.Args[0] = "compose"
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		h.t.Fatalf("create %s: %v: %s", id, err, text)
	}
	h.t.Cleanup(func() { h.compose("oci", "delete", "--force", id) })
	return out.Name()
}

func TestOCILife(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	bundle := h.bundle("trap 'echo got it; exit 7' USR1; hostname > /ran; while :; do sleep 0.1; done", func(s *specs.Spec) {
		s.Annotations = map[string]string{"org.example.key": "value"}
	})
	pidFile := filepath.Join(bundle, "pid")
	output := h.ociCreate("life", bundle, "--pid-file", pidFile)
	s := h.ociState("life")
	pid, err := os.ReadFile(pidFile)
	if err != nil || string(pid) != strconv.Itoa(s.Pid) || s.Status != specs.StateCreated || s.Bundle != bundle || s.Annotations["org.example.key"] != "value" {
		t.Errorf("created: %+v, the PID file says %q (%v)", s, pid, err)
	}
	if _, err := os.Stat(filepath.Join(bundle, "rootfs/ran")); err == nil {
		t.Error("the program has run before start")
	}
	// What the bundle says after create is of no consequence.
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.compose("oci", "create", "--bundle", h.bundle("true", nil), "life").fails(1, "already exists")
	h.compose("oci", "delete", "life").fails(1, "created", "--force")
	h.compose("oci", "start", "life").ok()
	h.compose("oci", "start", "life").fails(1, "only a created one can be started")
	h.ociStatus("life", specs.StateRunning)
	eventually(t, "the program runs", func() error {
		data, err := os.ReadFile(filepath.Join(bundle, "rootfs/ran"))
		if err == nil && string(data) != "box\n" {
			err = fmt.Errorf("the host name is %q", data)
		}
		return err
	})
	h.compose("oci", "exec", "life", "sh", "-c", "test $(cat /proc/1/comm) = sh && grep CapEff /proc/self/status; exit 3").fails(3)
	h.compose("oci", "pause", "life").ok()
	h.ociStatus("life", "paused")
	h.compose("oci", "resume", "life").ok()
	h.compose("oci", "kill", "life", "USR1").ok()
	h.ociStatus("life", specs.StateStopped)
	h.compose("oci", "kill", "life", "KILL").fails(1, "not running")
	if data, _ := os.ReadFile(output); string(data) != "got it\n" {
		t.Errorf("it printed %q", data)
	}
	h.compose("oci", "delete", "life").ok()
	h.compose("oci", "state", "life").fails(1, "does not exist")
	h.compose("oci", "delete", "--force", "life").ok()
	if groups, _ := filepath.Glob("/sys/fs/cgroup/*/compose-oci-*-life"); len(groups) > 0 {
		t.Errorf("left behind: %q", groups)
	}
}

func TestOCIRun(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	text := h.compose("oci", "run", "--bundle", h.bundle(`
id; cat /proc/1/comm; grep CapEff /proc/self/status; cat /proc/kcore | wc -c
echo x 2>/dev/null > /proc/sys/kernel/domainname || echo read-only
ls /proc/self/fd | wc -l; echo $X; exit 5`, func(s *specs.Spec) {
		s.Process.User = specs.User{UID: 7, GID: 8, AdditionalGids: []uint32{9}}
		s.Process.Env = append(s.Process.Env, "X=word")
	}), "one").fails(5).stdout
	want := "uid=7 gid=8 groups=9\nsh\nCapEff:\t0000000000000000\n0\nread-only\n4\nword\n"
	if text != want {
		t.Errorf("inside:\n%swant:\n%s", text, want)
	}
	for name, want := range map[string]string{
		"nope":         `exec: "nope": executable file not found in $PATH`,
		"/no/such":     `no such file`,
		"/etc/passwd":  "permission denied",
		"/etc/../root": "is a directory",
	} {
		edit := func(s *specs.Spec) { s.Process.Args = []string{name} }
		h.compose("oci", "run", "--bundle", h.bundle("", edit), "two").fails(1, want)
	}
	// The Go runtime that is started in the container to say this would print a
	// line for each package: it is started for a failure only.
	traced := func(script string) string {
		dir := h.bundle("", func(s *specs.Spec) {
			s.Process.Args, s.Process.Env = []string{"/script"}, []string{"PATH=/bin", "GODEBUG=inittrace=1"}
		})
		if err := os.WriteFile(filepath.Join(dir, "rootfs", "script"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	if r := h.compose("oci", "run", "--bundle", traced("#!/bin/sh\necho $0"), "five").ok(); r.stdout != "/script\n" || r.stderr != "" {
		t.Errorf("a script printed %q and %q", r.stdout, r.stderr)
	}
	h.compose("oci", "run", "--bundle", traced("#!/no/shell"), "six").fails(127, "exec /script: no such file")
	// Told by a process that has outlived the create.
	h.ociCreate("three", h.bundle("true", func(s *specs.Spec) { s.Process.Cwd = "/etc/passwd" }))
	h.compose("oci", "start", "three").fails(1, `working directory "/etc/passwd": not a directory`)
	h.ociStatus("three", specs.StateStopped)
	h.compose("oci", "delete", "three").ok()
	h.ociCreate("four", h.bundle("", func(s *specs.Spec) { s.Process = nil }))
	h.ociStatus("four", specs.StateCreated)
	h.compose("oci", "start", "four").fails(1, "has no program to run")
	h.ociStatus("four", specs.StateStopped)
	h.compose("oci", "delete", "four").ok()
	if list := h.compose("oci", "list", "--quiet").ok().stdout; list != "" {
		t.Errorf("there are still %q", list)
	}
}

// TestOCIHooks: each kind at its time and in its place, with the state on its
// standard input.
func TestOCIHooks(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	var diary string
	hook := func(name, more string) []specs.Hook {
		script := fmt.Sprintf(`echo %s $(grep -o '"status":"[a-z]*"' | cut -d'"' -f4) %s >> "$DIARY"`, name, more)
		return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin:/usr/bin", "DIARY=" + diary}}}
	}
	bundle := h.bundle("echo program >> /diary", func(s *specs.Spec) {
		diary = "/diary"
		inside := hook("startContainer", "$(cat /proc/1/comm | wc -l) $(hostname)")
		diary = filepath.Join(t.TempDir(), "diary")
		s.Hooks = &specs.Hooks{
			Prestart:        hook("prestart", ""), //lint:ignore SA1019 still used
			CreateRuntime:   hook("createRuntime", "$(test $(uname -n) = box && echo inside)"),
			CreateContainer: hook("createContainer", "$(uname -n)"),
			StartContainer:  inside,
			Poststart:       hook("poststart", ""),
			Poststop:        append([]specs.Hook{{Path: "/bin/false"}}, hook("poststop", "")...),
		}
	})
	h.ociCreate("hooks", bundle)
	h.compose("oci", "start", "hooks").ok()
	h.ociStatus("hooks", specs.StateStopped)
	h.compose("oci", "delete", "hooks").ok()
	outside, _ := os.ReadFile(diary)
	if want := "prestart created\ncreateRuntime created\ncreateContainer created box\npoststart running\npoststop stopped\n"; string(outside) != want {
		t.Errorf("outside:\n%swant:\n%s", outside, want)
	}
	in, _ := os.ReadFile(filepath.Join(bundle, "rootfs/diary"))
	if want := "startContainer created 1 box\nprogram\n"; string(in) != want {
		t.Errorf("inside:\n%swant:\n%s", in, want)
	}
	refused := h.bundle("true", func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo no reason; exit 4"}}}}
	})
	h.compose("oci", "create", "--bundle", refused, "refused").fails(1, "createRuntime hook /bin/sh", "exit status 4", "no reason")
	h.compose("oci", "state", "refused").fails(1, "does not exist")
}

// TestOCIConsole: the terminal's master side comes over the socket.
func TestOCIConsole(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	socket := filepath.Join(h.root, "tty.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	bundle := h.bundle("test -t 0 && test -c /dev/console && echo on $(tty)", func(s *specs.Spec) { s.Process.Terminal = true })
	h.compose("oci", "create", "--bundle", bundle, "tty").fails(1, "--console-socket")
	got := make(chan *os.File, 1)
	go func() {
		defer close(got)
		conn, err := l.AcceptUnix()
		if err != nil {
			return
		}
		defer conn.Close()
		buf, oob := make([]byte, 64), make([]byte, unix.CmsgSpace(4))
		_, n, _, _, err := conn.ReadMsgUnix(buf, oob)
		if err != nil {
			return
		}
		messages, _ := unix.ParseSocketControlMessage(oob[:n])
		for _, m := range messages {
			if fds, err := unix.ParseUnixRights(&m); err == nil {
				got <- os.NewFile(uintptr(fds[0]), "master")
			}
		}
	}()
	h.ociCreate("tty", bundle, "--console-socket", socket)
	master := <-got
	if master == nil {
		t.Fatal("no terminal came over the socket")
	}
	defer master.Close()
	h.compose("oci", "start", "tty").ok()
	buf := make([]byte, 256)
	n, _ := master.Read(buf)
	if text := string(buf[:n]); !strings.HasPrefix(text, "on /dev/") {
		t.Errorf("the terminal shows %q", text)
	}
	h.ociStatus("tty", specs.StateStopped)
	h.compose("oci", "delete", "tty").ok()
}

// TestOCIRefuses: what a bundle asks for and does not get is an error by name.
func TestOCIRefuses(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for want, edit := range map[string]func(*specs.Spec){
		`ociVersion "2.0.0"`: func(s *specs.Spec) { s.Version = "2.0.0" },
		"root.path":          func(s *specs.Spec) { s.Root.Path = "elsewhere" },
		"no mount namespace": func(s *specs.Spec) { s.Linux.Namespaces = s.Linux.Namespaces[:4] },
		`lists "pid" twice`:  func(s *specs.Spec) { s.Linux.Namespaces = append(s.Linux.Namespaces, s.Linux.Namespaces[0]) },
		"RLIMIT_NOFILE twice": func(s *specs.Spec) {
			s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE"}, {Type: "RLIMIT_NOFILE"}}
		},
		"RLIMIT_NONE":             func(s *specs.Spec) { s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NONE"}} },
		"CAP_NONE":                func(s *specs.Spec) { s.Process.Capabilities.Bounding = []string{"CAP_NONE"} },
		"rootfsPropagation":       func(s *specs.Spec) { s.Linux.RootfsPropagation = "wide" },
		"linux.intelRdt":          func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{} },
		"process.apparmorProfile": func(s *specs.Spec) { s.Process.ApparmorProfile = "docker-default" },
		"process.selinuxLabel":    func(s *specs.Spec) { s.Process.SelinuxLabel = "a:b:c" },
		"systemd's cgroup":        func(s *specs.Spec) { s.Linux.CgroupsPath = "a.slice:b:c" },
		"SCMP_ACT_NOTIFY":         func(s *specs.Spec) { s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActNotify} },
		"make the device /dev/null": func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/dev/null", Type: "bind", Source: "/dev/zero", Options: []string{"bind"}})
		},
		"hostname":              func(s *specs.Spec) { s.Linux.Namespaces = append(s.Linux.Namespaces[:3:3], s.Linux.Namespaces[4:]...) },
		"has no program to run": func(s *specs.Spec) { s.Process = nil },
		"something else of that ": func(s *specs.Spec) {
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/null", Type: "c", Major: 1, Minor: 5}}
		},
	} {
		h.compose("oci", "run", "--bundle", h.bundle("echo RAN", edit), "no").fails(1, want)
	}
	for _, id := range []string{"..", "a/b", "", "a b", "a\nb"} {
		h.compose("oci", "run", "--bundle", h.bundle("true", nil), id).fails(1, "invalid container ID")
	}
}

// TestOCIAsARuntime: what callers ask a runtime binary of that name for.
func TestOCIAsARuntime(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	cmd := h.command(t.Context(), h.root, "--version")
	cmd.Args[0] = "/usr/bin/compose-oci"
	if out, err := cmd.Output(); err != nil || !strings.HasPrefix(string(out), "compose-oci version ") || !strings.Contains(string(out), "\nspec: 1.") {
		t.Errorf("--version: %q, %v", out, err)
	}
	// It takes over before the libraries that it has no use for initialise.
	cmd = h.command(t.Context(), h.root, "oci", "--version")
	cmd.Env = append(cmd.Env, "GODEBUG=inittrace=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "init compose/engine/runtime ") {
		t.Errorf("--version: %q, %v", out, err)
	} else if late := regexp.MustCompile(`init (path/filepath|net|net/http|github.com/spf13/\S+) `).FindString(string(out)); late != "" {
		t.Errorf("before it there is %q", late)
	}
	var features struct {
		Hooks []string
		Linux struct{ Namespaces []string }
	}
	if err := json.Unmarshal([]byte(h.compose("oci", "features").ok().stdout), &features); err != nil || len(features.Hooks) != 6 || len(features.Linux.Namespaces) == 0 {
		t.Errorf("features: %+v, %v", features, err)
	}
	log := filepath.Join(h.root, "log.json")
	h.compose("oci", "--root", filepath.Join(h.root, "other"), "--log", log, "--log-format", "json", "start", "nobody").fails(1, "container nobody does not exist")
	var line struct{ Level, Msg, Time string }
	text, _ := os.ReadFile(log)
	if err := json.Unmarshal(text, &line); err != nil || line.Level != "error" || line.Msg != "container nobody does not exist" || line.Time == "" {
		t.Errorf("the log says %q (%v)", text, err)
	}
}

// rewrite changes a bundle's config.json.
func rewrite(t *testing.T, bundle string, edit func(*specs.Spec)) {
	t.Helper()
	file := filepath.Join(bundle, "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	spec := &specs.Spec{}
	if err := json.Unmarshal(text, spec); err != nil {
		t.Fatal(err)
	}
	edit(spec)
	if text, err = json.Marshal(spec); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestOCIUserNamespace: root inside is nobody outside, in the first process
// and in an exec, and owns what it makes.
func TestOCIUserNamespace(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	volume := t.TempDir()
	if err := os.WriteFile(filepath.Join(volume, "roots"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	edit := func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 700000, Size: 1000}}
		s.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 800000, Size: 1000}}
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs"},
			specs.Mount{Destination: "/plain", Type: "bind", Source: volume, Options: []string{"rbind"}},
			specs.Mount{Destination: "/mapped", Type: "bind", Source: volume, Options: []string{"rbind", "idmap"}})
		s.Process.Capabilities.Bounding = []string{"CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_NET_ADMIN"}
		s.Process.Capabilities.Effective, s.Process.Capabilities.Permitted = s.Process.Capabilities.Bounding, s.Process.Capabilities.Bounding
	}
	script := `grep CapBnd /proc/self/status | cut -f2; cat /proc/self/uid_map | tr -s ' '; id -u; touch /tmp/x && stat -c %u:%g /tmp/x /dev/null
cat /plain/roots 2>/dev/null || echo of nobody; cat /mapped/roots; echo; echo x > /mapped/new
mount -t tmpfs none /tmp && echo own mounts; ip link set lo up && echo own network; mknod /tmp/d b 8 0 2>/dev/null || echo no device
echo x 2>/dev/null > /proc/sysrq-trigger || echo no sysrq`
	want := "0000000000201002\n 0 700000 1000\n0\n0:0\n0:0\nof nobody\nx\nown mounts\nown network\nno device\nno sysrq\n"
	if got := h.compose("oci", "run", "--bundle", h.bundle(script, edit), "mapped").ok().stdout; got != want {
		t.Errorf("inside:\n%swant:\n%s", got, want)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(volume, "new"), &st); err != nil || st.Uid != 0 {
		t.Errorf("on the disk the file is of %d (%v), want root", st.Uid, err)
	}
	bundle := h.bundle("exec sleep 1000", edit)
	h.ociCreate("outside", bundle)
	h.compose("oci", "start", "outside").ok()
	eventually(t, "the process is nobody on the host", func() error {
		if err := unix.Stat(fmt.Sprintf("/proc/%d", h.ociState("outside").Pid), &st); err != nil || st.Uid != 700000 || st.Gid != 800000 {
			return fmt.Errorf("it is %d:%d (%v)", st.Uid, st.Gid, err)
		}
		return nil
	})
	h.compose("oci", "exec", "outside", "sh", "-c", "test $(readlink /proc/1/ns/user) = $(readlink /proc/self/ns/user) && id -u && tr -s ' ' < /proc/self/uid_map").ok().says("0\n 0 700000 1000\n")
	h.compose("oci", "delete", "--force", "outside").ok()
	h.compose("oci", "run", "--bundle", h.bundle("true", func(s *specs.Spec) { edit(s); s.Process.User.UID = 5000 }), "no").fails(1, "maps no such user")
	h.compose("oci", "run", "--bundle", h.bundle("true", func(s *specs.Spec) { edit(s); s.Linux.UIDMappings = nil }), "no").fails(1, "uidMappings")
}

// TestOCIAsPodmanAsks: what podman and containerd ask for that a bundle of the
// OCI's own tools does not.
func TestOCIAsPodmanAsks(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	limit := int64(64)
	edit := func(s *specs.Spec) {
		s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == specs.CgroupNamespace })
		s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}}
		s.Mounts = append(s.Mounts,
			specs.Mount{Destination: "/etc", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "tmpcopyup", "ro"}},
			specs.Mount{Destination: "/var", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup", "mode=1700"}})
		if _, err := os.Stat("/sys/fs/cgroup/pids"); err == nil {
			s.Mounts = append(s.Mounts,
				specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"ro"}},
				specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "ro"}})
		}
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1 << 40, Hard: 1 << 40}} // more than a kernel has
	}
	script := `grep -c guest /etc/passwd; touch /etc/x 2>/dev/null || echo read-only; ls -d /var/www; touch /var/x; stat -c %a /var
if test -d /sys/fs/cgroup/pids; then cat /sys/fs/cgroup/pids/pids.max; mkdir /sys/fs/cgroup/pids/x 2>/dev/null || echo read-only; else echo 64; echo read-only; fi`
	bundle, log := h.bundle(script, edit), filepath.Join(h.root, "log.json")
	r := h.compose("oci", "--log", log, "--log-format", "json", "run", "--bundle", bundle, "podman").ok()
	if want := "1\nread-only\n/var/www\n1700\n64\nread-only\n"; r.stdout != want || r.stderr != "" {
		t.Errorf("inside:\n%swant:\n%sstandard error, which is the container's: %s", r.stdout, want, r.stderr)
	}
	if _, err := os.Stat(filepath.Join(bundle, "rootfs/var/x")); err == nil {
		t.Error("what was written to the tmpfs is in the bundle")
	}
	if text, _ := os.ReadFile(log); !strings.Contains(string(text), `"level":"warning"`) || !strings.Contains(string(text), "RLIMIT_NOFILE") {
		t.Errorf("the log says nothing of the limit: %s", text)
	}
	h.ociCreate("frozen", h.bundle("while :; do sleep 0.1; done", nil))
	h.compose("oci", "start", "frozen").ok()
	h.compose("oci", "pause", "frozen").ok()
	h.compose("oci", "kill", "frozen", "KILL").ok()
	h.ociStatus("frozen", specs.StateStopped)
}
