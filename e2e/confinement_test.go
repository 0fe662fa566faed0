package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// probe is the directory of the static program in ./probe, for a bind mount.
func probe(t *testing.T) string {
	t.Helper()
	dir, err := buildProbe()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var buildProbe = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(filepath.Dir(binary), "probe")
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "probe"), "./probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the probe: %w\n%s", err, out)
	}
	return dir, os.Chmod(dir, 0o755)
})

// answers are the probe's lines as a map.
func answers(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if i := strings.LastIndexByte(line, ' '); i > 0 {
			m[line[:i]] = line[i+1:]
		}
	}
	return m
}

// TestConfinementSyscalls tries a call of each family that Docker's seccomp
// profile blocks, in a container's first process and in an exec.
func TestConfinementSyscalls(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("calls", "compose.yml", `services:
  app:
    image: busybox
    command: sh -c '/probe/probe; exec sleep 1000000'
    stop_grace_period: 0s
    volumes: ["`+probe(t)+`:/probe:ro"]
`)
	h.in(dir, "up", "-d").ok()
	blocked := func(where, text string) {
		got := answers(text)
		if len(got) < 50 {
			t.Fatalf("%s: the probe says only\n%s", where, text)
		}
		for name, errno := range got {
			want := "EPERM"
			if name == "clone3" || name == "unheard of" || name == "x32 getpid" {
				want = "ENOSYS" // what a C library falls back from
			}
			if errno != want {
				t.Errorf("%s: %s is answered with %s, want %s", where, name, errno, want)
			}
		}
	}
	blocked("exec", h.in(dir, "exec", "-T", "app", "/probe/probe").ok().stdout)
	var log string
	eventually(t, "the probe's end", func() error {
		log = h.in(dir, "logs", "--no-log-prefix", "app").ok().stdout
		if !strings.Contains(log, "vhangup") {
			return fmt.Errorf("it says %q", log)
		}
		return nil
	})
	blocked("first process", log)
	h.in(dir, "down").ok()

	// It is the profile that answers: without it these say something else.
	open := answers(h.docker("run", "--rm", "--security-opt", "seccomp=unconfined", "-v", probe(t)+":/probe:ro", "busybox", "/probe/probe").ok().stdout)
	for _, name := range []string{"keyctl", "add_key", "unshare user", "clone user", "clone3", "kcmp", "userfaultfd", "get_mempolicy", "personality"} {
		if open[name] == "EPERM" || open[name] == "" || name == "clone3" && open[name] == "ENOSYS" {
			t.Errorf("unconfined, %s is answered with %q as well: it proves nothing", name, open[name])
		}
	}
}

// inside is what a container is asked, and what has to be the answer.
type inside struct{ what, script, want string }

// confinement are Docker's defaults as seen from inside.
func confinement(t *testing.T) []inside {
	rootDevice := func() string {
		var st unix.Stat_t
		if err := unix.Stat("/", &st); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d %d", unix.Major(st.Dev), unix.Minor(st.Dev))
	}
	list := []inside{
		{"effective capabilities", "grep CapEff /proc/self/status | cut -f2", "00000000a80425fb"},
		{"permitted capabilities", "grep CapPrm /proc/self/status | cut -f2", "00000000a80425fb"},
		{"bounding capabilities", "grep CapBnd /proc/self/status | cut -f2", "00000000a80425fb"},
		{"inheritable capabilities", "grep CapInh /proc/self/status | cut -f2", "0000000000000000"},
		{"ambient capabilities", "grep CapAmb /proc/self/status | cut -f2", "0000000000000000"},
		{"seccomp", "grep ^Seccomp: /proc/self/status | cut -f2", "2"},
		{"no_new_privs, which nobody asked for", "grep NoNewPrivs /proc/self/status | cut -f2", "0"},
		{"devices", "ls /dev | grep -v console | tr '\\n' ' '", "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"},
		{"a device node of the host's disk", "mknod /tmp/disk b " + rootDevice() + " && head -c 1 /tmp/disk 2>&1", "head: /tmp/disk: Operation not permitted"},
		{"a device node of memory", "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem 2>&1", "head: /tmp/mem: Operation not permitted"},
		{"a new device node of null", "mknod /tmp/null c 1 3 && echo x > /tmp/null && cat /tmp/null", ""},
		{"/sys", "touch /sys/x 2>&1", "touch: /sys/x: Read-only file system"},
		{"/sys remounted", "mount -o remount,rw /sys 2>&1", "mount: permission denied (are you root?)"},
		{"cgroups", `find /sys/fs/cgroup -type d | while read d; do mkdir "$d/x" 2>/dev/null && echo "$d is writable"; done; for f in $(find /sys/fs/cgroup -name '*.procs'); do echo 1 2>/dev/null > $f && echo $f; done`, ""},
		{"cgroup namespace", "cut -d: -f3 /proc/self/cgroup | sort -u", "/"},
		{"mounting", "mount -t tmpfs none /tmp 2>&1", "mount: permission denied (are you root?)"},
		{"processes", "ls -d /proc/[0-9]* | wc -l | awk '{print ($1 < 8)}'", "1"},
		{"own first process", "cat /proc/1/comm", "sh"},
		{"inherited descriptors", "ls /proc/1/fd | tr '\\n' ' '", "0 1 2"},
		{"shared memory segments", "cat /proc/sysvipc/shm | wc -l; ls /dev/shm /dev/mqueue | grep -v :", "1\n"},
		{"raw disks by name", "ls /dev | grep -E '^(sd|vd|xvd|nvme|dm-|loop|mem|kmsg|port)' | wc -l", "0"},
		{"/proc options", "awk '$2 == \"/proc\" {print $4}' /proc/mounts | cut -d, -f1-4", "rw,nosuid,nodev,noexec"},
		{"core pattern", "echo x 2>&1 > /proc/sys/kernel/core_pattern", "sh: can't create /proc/sys/kernel/core_pattern: Read-only file system"},
		{"user namespace", "cat /proc/self/uid_map | tr -s ' '", " 0 0 4294967295"},
	}
	for _, name := range []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
		"/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
	} {
		list = append(list, inside{"masked " + name, fmt.Sprintf(`if [ -d %[1]s ]; then ls %[1]s; elif [ -e %[1]s ]; then cat %[1]s; fi`, name), ""})
	}
	for _, name := range []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"} {
		list = append(list, inside{"read-only " + name, fmt.Sprintf(`[ ! -e %[1]s ] || awk '$2 == "%[1]s" {print $4}' /proc/mounts | cut -d, -f1`, name), "ro"})
	}
	return list
}

// TestConfinementDefaults asks a container that nothing was asked for, in its
// first process's place and in an exec.
func TestConfinementDefaults(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("defaults", "compose.yml", "services:\n  app: {image: busybox, command: [sh, -c, \"trap exit TERM; while :; do sleep 1; done\"], stop_grace_period: 0s}\n")
	h.in(dir, "up", "-d").ok()
	for _, c := range confinement(t) {
		got := strings.TrimRight(h.in(dir, "exec", "-T", "app", "sh", "-c", "cd /tmp; rm -f *; "+c.script).stdout, "\n ")
		if want := strings.TrimRight(c.want, "\n "); got != want {
			if strings.HasPrefix(c.what, "read-only ") && got == "" {
				continue // this kernel has no such file
			}
			t.Errorf("%s:\n%s\nwant:\n%s", c.what, got, want)
		}
	}
	h.in(dir, "down").ok()
}

// TestConfinementNamespaces: a container has no namespace in common with the
// host or with another, but for the user's.
func TestConfinementNamespaces(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("spaces", "compose.yml", "services:\n  app: {image: busybox, command: sleep 1000000, stop_grace_period: 0s, scale: 2}\n")
	h.in(dir, "up", "-d").ok()
	kinds := []string{"mnt", "pid", "net", "ipc", "uts", "cgroup"}
	seen := map[string]string{}
	for _, kind := range kinds {
		link, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		seen[link] = "the host"
	}
	for _, index := range []string{"1", "2"} {
		for _, kind := range kinds {
			link := strings.TrimSpace(h.in(dir, "exec", "-T", "--index", index, "app", "readlink", "/proc/1/ns/"+kind).ok().stdout)
			if other := seen[link]; other != "" || link == "" {
				t.Errorf("container %s has the %s namespace %q in common with %s", index, kind, link, other)
			}
			seen[link] = "container " + index
		}
	}
	h.in(dir, "down").ok()
}

// TestConfinementKeyring: the session keyring is the container's own, also
// where the profile does not keep it from asking.
func TestConfinementKeyring(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	var ids []string
	for range 2 {
		out := h.docker("run", "--rm", "--security-opt", "seccomp=unconfined", "-v", probe(t)+":/probe:ro", "busybox", "/probe/probe", "keyring").ok().stdout
		id, ok := strings.CutSuffix(out, " <nil>\n")
		if !ok {
			t.Fatalf("the keyring is %q", out)
		}
		ids = append(ids, id)
	}
	if host, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false); err == nil {
		ids = append(ids, fmt.Sprint(host))
	}
	slices.Sort(ids)
	if len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Errorf("session keyrings that are shared: %q", ids)
	}
}

// TestConfinementAsked: what a service asks for to be stricter or wider.
func TestConfinementAsked(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	for _, c := range []struct{ flags, script, want string }{
		{"--security-opt no-new-privileges", "grep NoNewPrivs /proc/self/status | cut -f2", "1"},
		{"--cap-drop ALL", "grep -E 'Cap(Eff|Bnd)' /proc/self/status | cut -f2 | sort -u", "0000000000000000"},
		{"--cap-drop ALL --cap-add CHOWN", "grep CapBnd /proc/self/status | cut -f2", "0000000000000001"},
		{"--read-only", "touch /x /etc/x /tmp/x 2>&1 | grep -c 'Read-only file system'", "3"},
		{"--user 1000", "grep -E 'Cap(Eff|Prm)' /proc/self/status | cut -f2 | sort -u", "0000000000000000"},
	} {
		args := append(append([]string{"run", "--rm"}, strings.Fields(c.flags)...), "busybox", "sh", "-c", c.script)
		if got := strings.TrimSpace(h.docker(args...).stdout); got != c.want {
			t.Errorf("%s: %q, want %q", c.flags, got, c.want)
		}
	}
}
