package e2e

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// attributes runs a service with some attributes and compares what it says.
func attributes(t *testing.T, h *host, name, yaml, script, want, rest string) {
	t.Helper()
	command := "    command: [sh, -c, " + quote(script) + "]\n"
	if strings.Contains(yaml, "command:") {
		command = ""
	}
	dir := h.project(name, "s.txt", "hush\n", "compose.yml", "services:\n  app:\n    image: busybox\n"+command+indent(yaml, "    ")+rest)
	out := h.in(dir, "up", "--no-log-prefix", "--no-color").ok().stdout
	var lines []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "Attaching to") && !strings.Contains(line, "exited with code") {
			lines = append(lines, line)
		}
	}
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
	h.in(dir, "down", "-t", "0").ok()
}

// namespace is what the host's namespace of a kind is called.
func namespace(t *testing.T, kind string) string {
	t.Helper()
	name, err := os.Readlink("/proc/self/ns/" + kind)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "$", "$$").Replace(text) + `"`
}

func indent(text, by string) string {
	var out strings.Builder
	for line := range strings.Lines(strings.Trim(text, "\n") + "\n") {
		out.WriteString(by + line)
	}
	return out.String()
}

// TestRefusedAttributes names what a container cannot be given, before
// anything is made.
func TestRefusedAttributes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	for yaml, want := range map[string]string{
		"gpus: all":                  "services.app.gpus: could not select a device driver with capabilities [[gpu]]",
		"runtime: nvidia":            "services.app.runtime: unknown or invalid runtime name: nvidia",
		"cpu_percent: 10":            "services.app.cpu_percent: this is for Windows containers",
		"cpu_count: 2":               "services.app.cpu_count: this is for Windows containers",
		"credential_spec: {file: x}": "services.app.credential_spec: this is for Windows containers",
		"models: [llm]":              "services.app.models: there is no model runner",
		"isolation: hyperv":          "services.app.isolation: this is for Windows containers",
		"storage_opt: {size: 1G}":    "services.app.storage_opt: the overlay storage has no per-container quotas",
		"use_api_socket: true":       "services.app.use_api_socket: there is no engine",
		"logging: {driver: splunk}":  "services.app.logging.driver: there is no logging driver splunk",
		"volumes: [{type: npipe, source: a, target: /b}]":                         "services.app.volumes[0].type: this is for Windows containers",
		"deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}": "services.app.deploy.resources.reservations.devices: could not select",
	} {
		dir := h.project("refused", "compose.yml", "services:\n  app:\n    image: busybox\n    "+yaml+"\n  other: {image: busybox, command: \"true\"}\nmodels: {llm: {model: x}}\n")
		h.in(dir, "up", "-d").fails(1, "compose.yml", want)
		h.in(dir, "ps", "-a", "-q").says("")
		h.in(dir, "config", "-q").ok()
		h.in(dir, "run", "--rm", "-T", "other", "true").ok() // the others are not concerned
		h.in(dir, "down").ok()
	}
	dir := h.project("refused", "compose.yml", "services: {app: {image: busybox, volumes: [\"v:/v\"]}}\nvolumes: {v: {driver: rexray}}\n")
	h.in(dir, "up", "-d").fails(1, "volumes.v.driver", "there are no volume drivers but local")
}

// TestBlockDeviceLimits looks at the limits of a disk from outside.
func TestBlockDeviceLimits(t *testing.T) {
	t.Parallel()
	disk := hostDisk(t)
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("disk", "compose.yml", `
services:
  app:
    image: busybox
    command: sleep 600
    annotations: {org.example.tier: gold}
    blkio_config:
      device_read_bps: [{path: `+disk+`, rate: 10mb}]
      device_write_iops: [{path: `+disk+`, rate: 120}]
`)
	h.in(dir, "up", "-d").ok()
	h.docker("inspect", "-f", `{{index .HostConfig.Annotations "org.example.tier"}}`, "disk-app-1").says("gold")
	id := strings.TrimSpace(h.in(dir, "ps", "-q").ok().stdout)
	hasBlockLimits(t, id, "10485760", "120")
	h.in(dir, "down", "-t", "0").ok()
}

// hostDisk is a disk of the host.
func hostDisk(t *testing.T) string {
	t.Helper()
	disks, _ := filepath.Glob("/sys/block/[vs]d[a-z]")
	if len(disks) == 0 {
		t.Skip("this host has no disk")
	}
	disk := "/dev/" + filepath.Base(disks[0])
	if _, err := os.Stat(disk); err != nil {
		t.Skip(err)
	}
	return disk
}

// hasBlockLimits looks for limits in the container's cgroup, of bytes read and
// of writes a second.
func hasBlockLimits(t *testing.T, id, readBytes, writes string) {
	t.Helper()
	var found string
	for _, pattern := range []string{"/sys/fs/cgroup/blkio/*/" + id, "/sys/fs/cgroup/*/" + id} {
		if list, _ := filepath.Glob(pattern); len(list) > 0 && found == "" {
			found = list[0]
		}
	}
	read := func(name string) string {
		data, _ := os.ReadFile(filepath.Join(found, name))
		return string(data)
	}
	v1 := strings.Contains(read("blkio.throttle.read_bps_device"), " "+readBytes) && strings.Contains(read("blkio.throttle.write_iops_device"), " "+writes)
	v2 := strings.Contains(read("io.max"), "rbps="+readBytes) && strings.Contains(read("io.max"), "wiops="+writes)
	if !v1 && !v2 {
		t.Errorf("no limits in %s: %q %q", found, read("blkio.throttle.read_bps_device"), read("io.max"))
	}
}

// TestAttributes looks at services from inside.
func TestAttributes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	parent := "ceattr" + strconv.Itoa(os.Getpid())
	t.Cleanup(func() { // a parent that the user has named stays
		dirs, _ := filepath.Glob("/sys/fs/cgroup/*/" + parent)
		for _, dir := range append(dirs, "/sys/fs/cgroup/"+parent) {
			_ = os.Remove(dir)
		}
	})
	for name, c := range map[string]struct{ yaml, script, want string }{
		"caps":         {"cap_drop: [ALL]\ncap_add: [NET_ADMIN, CHOWN]", "grep CapEff /proc/self/status", "CapEff:\t0000000000001001"},
		"privileged":   {"privileged: true", "test -e /dev/kmsg && echo devices; grep Seccomp: /proc/self/status", "devices\nSeccomp:\t0"},
		"hostname":     {"hostname: web\ndomainname: example.org", "hostname; cat /proc/sys/kernel/domainname; tail -n 1 /etc/hosts | cut -f 2", "web\nexample.org\nweb.example.org web"},
		"dns":          {"dns: [192.0.2.53]\ndns_search: [a.example, b.example]\ndns_opt: [timeout:3]", "cat /etc/resolv.conf | grep -v '^#' | sort", "nameserver 127.0.0.11\noptions timeout:3 ndots:0\nsearch a.example b.example"},
		"extra":        {"extra_hosts: [\"one:192.0.2.1\", \"gate:host-gateway\"]", "grep -c '^192.0.2.1.one$' /etc/hosts; grep -c 'gate$' /etc/hosts", "1\n1"},
		"device":       {"devices: [\"/dev/kmsg:/dev/log:w\"]", ": >/dev/log && echo open; (: </dev/log) 2>&1", "open\nsh: can't open /dev/log: Operation not permitted"},
		"cgrouprule":   {"device_cgroup_rules: [\"c 1:5 r\"]\ncap_add: [MKNOD]", "mknod /z c 1 5 && head -c 1 /z | od -An -tx1", "00"},
		"groups":       {"user: \"1234:99\"\ngroup_add: [\"77\"]", "id -u; id -G", "1234\n99 77"},
		"init":         {"init: true", "tr '\\0' ' ' </proc/1/cmdline | cut -d' ' -f1 | sed 's|.*/||'", "compose-init"},
		"oom":          {"oom_score_adj: 500", "cat /proc/self/oom_score_adj", "500"},
		"readonly":     {"read_only: true\ntmpfs: [\"/run:size=1m,mode=1770,uid=5\"]", "touch /x 2>&1; touch /run/x && stat -c '%a %u' /run; df -k /run | tail -n 1 | awk '{print $2}'", "touch: /x: Read-only file system\n1770 5\n1024"},
		"shm":          {"shm_size: 12m", "df -k /dev/shm | tail -n 1 | awk '{print $2}'", "12288"},
		"sysctls":      {"sysctls: {net.ipv4.ip_default_ttl: 33, kernel.msgmax: 9000}", "cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/msgmax", "33\n9000"},
		"ulimits":      {"ulimits: {nofile: {soft: 100, hard: 200}, nproc: 77}", "ulimit -n; ulimit -Hn; grep processes /proc/self/limits | awk '{print $3}'", "100\n200\n77"},
		"workdir":      {"working_dir: /made/here", "pwd", "/made/here"},
		"nonewprivs":   {"security_opt: [no-new-privileges]", "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1"},
		"devicedir":    {"devices: [\"/dev/cpu:/dev/processors\"]", "ls /dev/processors | head -n 1", "0"},
		"unconfined":   {"security_opt: [seccomp=unconfined]", "grep Seccomp: /proc/self/status", "Seccomp:\t0"},
		"systempaths":  {"security_opt: [systempaths=unconfined]", "mount | grep -c ' /proc/'", "0"},
		"environment":  {"environment: {A: 1, B: \"two words\", C: \"$${literal}\"}", "echo $A $B $C", "1 two words ${literal}"},
		"tmpfsmount":   {"volumes: [{type: tmpfs, target: /t, tmpfs: {size: 2m, mode: 0700}}]", "stat -c %a /t; df -k /t | tail -n 1 | awk '{print $2}'", "700\n2048"},
		"uts":          {"uts: host", "test \"$(hostname)\" = \"$(cat /proc/sys/kernel/hostname)\" && readlink /proc/self/ns/uts >/dev/null && echo ok", "ok"},
		"mac":          {"mac_address: 02:11:22:33:44:55", "cat /sys/class/net/eth0/address", "02:11:22:33:44:55"},
		"nonet":        {"network_mode: none", "ls /sys/class/net", "lo"},
		"stop":         {"stop_signal: SIGUSR1", "echo started", "started"},
		"entrypoint":   {"entrypoint: [\"echo\", \"first\"]\ncommand: [second]", "unused", "first second"},
		"config":       {"configs: [{source: c, target: /etc/c, uid: \"7\", gid: \"8\", mode: 0440}]", "cat /etc/c; stat -c '%u %g %a' /etc/c", "some content\n7 8 440"},
		"secret":       {"secrets: [s]", "cat /run/secrets/s; stat -c %a /run/secrets/s", "hush\n644"},
		"pids":         {"pids_limit: 55", "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null", "55"},
		"memory":       {"mem_limit: 64m\nmem_reservation: 32m", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null", "67108864"},
		"cpus":         {"cpus: 0.5", "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max", "50000"},
		"deploylimits": {"deploy: {resources: {limits: {cpus: \"0.25\", memory: 32m, pids: 9}}}", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null", "33554432\n9"},
		"cpuset":       {"cpuset: \"1\"", "grep Cpus_allowed_list /proc/self/status", "Cpus_allowed_list:\t1"},
		"umask":        {"umask: 0o077", "umask; cat /proc/self/status | grep Umask", "0077\nUmask:\t0077"},
		"quota":        {"cpu_quota: 20000\ncpu_period: 50000", "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us 2>/dev/null || tr ' ' '\n' </sys/fs/cgroup/cpu.max", "20000\n50000"},
		"swap":         {"mem_limit: 64m\nmemswap_limit: 96m\nmem_swappiness: 30", "cat /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes /sys/fs/cgroup/memory/memory.swappiness 2>/dev/null || echo $(($(cat /sys/fs/cgroup/memory.swap.max) + 67108864)) 30 | tr ' ' '\n'", "100663296\n30"},
		"oomkill":      {"oom_kill_disable: true\nmem_limit: 64m", "grep oom_kill_disable /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null || echo oom_kill_disable 1", "oom_kill_disable 1"},
		"cgrouphost":   {"cgroup: host", "grep -q compose- /proc/self/cgroup && echo seen", "seen"},
		"cgroupparent": {"cgroup: host\ncgroup_parent: /" + parent, "grep -q ':/" + parent + "/' /proc/self/cgroup && echo there", "there"},
		"ipchost":      {"ipc: host", "readlink /proc/self/ns/ipc", namespace(t, "ipc")},
		"pidhost":      {"pid: host", "readlink /proc/self/ns/pid", namespace(t, "pid")},
		"usernshost":   {"userns_mode: host", "readlink /proc/self/ns/user", namespace(t, "user")},
		"platform":     {"platform: linux/" + runtime.GOARCH, "echo runs", "runs"},
		"labels":       {"security_opt: [\"label=disable\", \"apparmor=unconfined\"]", "echo runs", "runs"},
		"realtime":     {"cpu_rt_period: 1000000\ncpu_rt_runtime: 0", "cat /sys/fs/cgroup/cpu/cpu.rt_period_us 2>/dev/null || echo 1000000", "1000000"},
		"shares":       {"cpu_shares: 300", "cat /sys/fs/cgroup/cpu/cpu.shares 2>/dev/null || echo 300", "300"},
		"cgroupns":     {"cgroup: private", "cut -d: -f3 /proc/self/cgroup | sort -u", "/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := *h
			one.t = t
			if _, err := os.Stat("/dev/cpu/0"); name == "devicedir" && err != nil {
				t.Skip(err)
			}
			extra := ""
			switch name {
			case "config":
				extra = "configs: {c: {content: \"some content\\n\"}}\n"
			case "secret":
				extra = "secrets: {s: {file: ./s.txt}}\n"
			}
			attributes(t, &one, "attr-"+name, c.yaml, c.script, c.want, extra)
		})
	}
}
