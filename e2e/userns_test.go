package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The IDs that a remapped host gives its containers: two ranges, so that a
// translation that only adds does not do.
const (
	remapUID  = 1700000
	remapGID  = 1800000
	remapMore = 1900000 // what follows on the first thousand, of both kinds
)

// remapped is a host whose administrator asks for user namespaces.
func remapped(t *testing.T) *host {
	t.Helper()
	h := newHost(t)
	for name, text := range map[string]string{
		"daemon.json": `{"userns-remap": "daemon"}`,
		"subuid":      fmt.Sprintf("other:1:5\ndaemon:%d:1000\ndaemon:%d:64536\n", remapUID, remapMore),
		"subgid":      fmt.Sprintf("daemon:%d:1000\ndaemon:%d:64536\n", remapGID, remapMore),
	} {
		if err := os.WriteFile(filepath.Join(h.root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h.busybox("busybox")
	return h
}

// owner is who a file of the host belongs to.
func owner(t *testing.T, name string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d:%d", st.Uid, st.Gid)
}

// TestUserNamespace asks from inside, in an exec, what a container in a user
// namespace of its own may and sees.
func TestUserNamespace(t *testing.T) {
	t.Parallel()
	h := remapped(t)
	disk := func() string {
		var st unix.Stat_t
		if err := unix.Stat("/", &st); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d %d", unix.Major(st.Dev), unix.Minor(st.Dev))
	}()
	layers, err := filepath.Glob(filepath.Join(h.root, "layers", "*"))
	if err != nil || len(layers) != 1 {
		t.Fatalf("the layers are %q, %v", layers, err)
	}
	dir := h.project("own", "Dockerfile", `FROM busybox
RUN mkdir -p /etc /home/someone /data && echo someone:x:2000:2000::/home/someone:/bin/sh >>/etc/passwd && chown 2000:2000 /home/someone && touch /data/root /data/user && chown someone /data/user && chmod 600 /data/* && echo built >/run-step
`, "host/roots", "of the host's root\n", "host/open", "x\n", "compose.yml", `
services:
  app:
    build: .
    image: own:1
    command: [sh, -c, 'echo started by $$(id -u); trap exit TERM; while :; do sleep 1; done']
    stop_grace_period: 0s
    cap_add: [ALL]
    security_opt: [apparmor=unconfined] # which forbids mounts of its own accord
    hostname: mapped
    sysctls: {net.ipv4.ip_unprivileged_port_start: "7", kernel.msgmax: "9000"}
    healthcheck: {test: "test -w /data/root", interval: 1s}
    volumes:
      - ./host:/host
      - ./made/deep:/made
      - `+layers[0]+`:/raw
      - filled:/data
      - empty:/empty
      - {type: volume, source: part, target: /part, volume: {subpath: sub}}
      - {type: image, source: "busybox", target: /image}
      - {type: image, source: "own:1", target: /layers}
      - {type: image, source: "own:1", target: /below, image: {subpath: data}}
      - {type: tmpfs, target: /t}
    configs: [{source: given, target: /given, uid: "2000", gid: "7", mode: 0400}]
    secrets: [word]
  maker: {image: busybox, command: mkdir -p /v/sub, volumes: ["part:/v"]}
  inited: {image: busybox, init: true, command: sleep 1000, stop_grace_period: 0s}
  site: {image: busybox, command: httpd -f -p 8000 -h /etc, ports: ["127.0.0.1::8000"], stop_grace_period: 0s}
  host: {image: busybox, userns_mode: host, command: sleep 1000, stop_grace_period: 0s, volumes: ["empty:/empty"]}
configs: {given: {content: "a config"}}
secrets: {word: {environment: WORD}}
volumes: {filled: {}, empty: {}, part: {}}
`, ".env", "WORD=secret\n")
	if err := os.Chmod(filepath.Join(dir, "host/roots"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.in(dir, "build").ok()
	h.in(dir, "run", "--rm", "maker").ok()
	h.in(dir, "up", "-d", "--wait", "app", "inited", "host", "site").ok()
	maps := fmt.Sprintf(" 0 %d 1000\n 1000 %d 64536", remapUID, remapMore)
	ask := func(service string, flags []string, list []inside) {
		t.Helper()
		for _, c := range list {
			args := append(append([]string{"exec", "-T"}, flags...), service, "sh", "-c", c.script)
			if got, want := strings.TrimRight(h.in(dir, args...).stdout, "\n "), strings.TrimRight(c.want, "\n "); got != want {
				t.Errorf("%s, %s:\n%s\nwant:\n%s", service, c.what, got, want)
			}
		}
	}
	ask("app", nil, []inside{
		{"users", "tr -s ' ' < /proc/self/uid_map", maps},
		{"groups", "tr -s ' ' < /proc/1/gid_map", fmt.Sprintf(" 0 %d 1000\n 1000 %d 64536", remapGID, remapMore)},
		{"the first process", "test $(readlink /proc/1/ns/user) = $(readlink /proc/self/ns/user) && echo same; stat -c %u:%g /proc/1", "same\n0:0"},
		{"itself", "id -u; id -g; hostname", "0\n0\nmapped"},
		{"the image's files", "stat -c '%u:%g %n' / /bin/busybox /etc/passwd /home/someone", "0:0 /\n0:0 /bin/busybox\n0:0 /etc/passwd\n2000:2000 /home/someone"},
		{"a file of the image changed", "echo more >> /etc/passwd && tail -n 1 /etc/passwd && rm /run-step && touch /new && chown 2000:5 /new && stat -c %u:%g /new", "more\n2000:5"},
		{"a user that is not mapped", "chown 70000 /new 2>&1", "chown: /new: Invalid argument"},
		{"a volume filled from the image", "stat -c '%u:%g %n' /data /data/*; echo x > /data/root && chown 2000 /data/root && stat -c %u /data/root", "0:0 /data\n0:0 /data/root\n2000:0 /data/user\n2000"},
		{"an empty volume", "stat -c %u:%g /empty; touch /empty/mine && stat -c %u:%g /empty/mine", "0:0\n0:0"},
		{"a part of a volume", "touch /part/x && stat -c %u:%g /part /part/x", "0:0\n0:0"},
		{"images", "stat -c '%u:%g' /image/bin/busybox /layers/home/someone /below/user; touch /image/x 2>&1", "0:0\n2000:2000\n2000:0\ntouch: /image/x: Read-only file system"},
		{"a directory of the host", "stat -c %u:%g /host /host/roots; cat /host/open; touch /host/x 2>&1; cat /host/roots 2>&1", "65534:65534\n65534:65534\nx\ntouch: /host/x: Permission denied\ncat: can't open '/host/roots': Permission denied"},
		{"a layer given by the host", "stat -c %u:%g /raw; touch /raw/bin/x 2>&1", "65534:65534\ntouch: /raw/bin/x: Permission denied"},
		{"one that was made for it", "touch /made/x && stat -c %u:%g /made /made/x", "0:0\n0:0"},
		{"a tmpfs", "touch /t/x /dev/shm/y && stat -c %u:%g /t /t/x /dev/shm/y", "0:0\n0:0\n0:0"},
		{"name files", "stat -c '%u:%g' /etc/hosts /etc/hostname /etc/resolv.conf; echo 1.2.3.4 other >> /etc/hosts && grep -c mapped /etc/hosts", "0:0\n0:0\n0:0\n1"},
		{"a config and a secret", "stat -c '%u:%g %a' /given; cat /given /run/secrets/word", "2000:7 400\na configsecret"},
		{"devices", "stat -c '%u:%g' /dev/null /dev; echo x > /dev/null && head -c 3 /dev/zero | wc -c; mknod /t/d b " + disk + " 2>&1", "0:0\n0:0\n3\nmknod: /t/d: Operation not permitted"},
		{"all capabilities, which are its own only", "grep CapEff /proc/self/status | cut -f2 | sed 's/.*\\(..\\)$/\\1/'", "ff"},
		{"the host's disk", "mount -t ext4 /dev/null /t 2>&1", "mount: permission denied (are you root?)"},
		{"a mount of its own", "mount -t tmpfs none /t && umount /t && echo mounted", "mounted"},
		{
			"the host's parameters", "mount -o remount,bind,rw /proc/sys && echo x 2>&1 > /proc/sys/kernel/core_pattern; echo 1 2>&1 > /proc/sys/vm/drop_caches",
			"sh: can't create /proc/sys/kernel/core_pattern: Permission denied\nsh: can't create /proc/sys/vm/drop_caches: Permission denied",
		},
		{"its own parameters", "mount -o remount,bind,rw /proc/sys; cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax; echo 8 > /proc/sys/net/ipv4/ip_unprivileged_port_start && echo set", "7\n9000\nset"},
		{"sysfs", "(mount -o remount,rw /sys; mount -o remount,bind,rw /sys; echo 0 > /sys/kernel/profiling) 2>/dev/null || echo refused; ls -d /sys/class/net/eth0", "refused\n/sys/class/net/eth0"},
		{"cgroups", `mount -o remount,bind,rw /sys/fs/cgroup; find /sys/fs/cgroup -mindepth 1 -type d | while read d; do mount -o remount,bind,rw "$d" 2>/dev/null; mkdir "$d/x" 2>/dev/null && echo "$d is writable"; done`, ""},
		{"its network", "ip link set lo down && ip link set lo up && ip addr add 10.9.9.9/32 dev lo && echo changed; nslookup inited | grep -c 'Name:.*inited'", "changed\n1"},
		{"the clock and the host itself", "date -s 2020-01-01 2>&1 >/dev/null | sed 's/.*: //'; reboot -f 2>&1 | sed 's/.*: //'", "Operation not permitted\nOperation not permitted"},
		{"its standard streams", "echo again > /dev/stdout; echo x | (cat < /dev/stdin)", "again\nx"},
	})
	ask("app", []string{"-u", "someone"}, []inside{
		{"as a user", "id -u; id -g; cat /data/user; touch /data/new 2>&1; touch /tmp/x 2>/dev/null; grep CapEff /proc/self/status | cut -f2", "2000\n2000\ntouch: /data/new: Permission denied\n0000000000000000"},
		{"a user's config", "cat /given", "a config"},
	})
	ask("app", []string{"--privileged"}, []inside{
		{"privileged", "tr -s ' ' < /proc/self/uid_map; mount -t ext4 /dev/null /t 2>&1 | sed 's/.*(//'", maps + "\nare you root?)"},
	})
	ask("inited", nil, []inside{{"with an init", "head -c 12 /proc/1/cmdline; echo; tr -s ' ' < /proc/1/uid_map", "compose-init\n" + maps}})
	ask("host", nil, []inside{
		{"userns_mode: host", "tr -s ' ' < /proc/self/uid_map; stat -c %u:%g /empty/mine", " 0 0 4294967295\n0:0"},
	})
	h.in(dir, "logs", "--no-log-prefix", "app").ok().says("started by 0")
	address := strings.TrimSpace(h.in(dir, "port", "site", "8000").ok().stdout)
	eventually(t, "the published page", func() error { _, err := get("http://" + address + "/passwd"); return err })
	terminal := h.docker("run", "--rm", "-t", "-u", "7", "busybox", "sh", "-c", "test -t 1 && echo typed > /dev/tty && stat -c %u $(tty)").ok().stdout
	if got := strings.Fields(terminal); len(got) != 2 || got[0] != "typed" || got[1] != "7" {
		t.Errorf("on a terminal: %q", terminal)
	}
	if got := owner(t, filepath.Join(dir, "made")) + " " + owner(t, filepath.Join(dir, "made/deep/x")); got != fmt.Sprintf("%[1]d:%[2]d %[1]d:%[2]d", remapUID, remapGID) {
		t.Errorf("on the host, what was made is of %s", got)
	}
	h.docker("inspect", "-f", "{{.HostConfig.UsernsMode}}", "own-host-1").ok().says("host")
	if info := h.docker("info", "-f", "{{json .SecurityOptions}}").ok().stdout; !strings.Contains(info, `"name=userns"`) {
		t.Errorf("info says nothing of user namespaces: %s", info)
	}
	t.Run("copies", func(t *testing.T) { copiesInUserNamespace(t, h, dir) })

	// A process that takes over finds the namespace as it is; a new start makes
	// the same, whatever the administrator has come to say.
	if err := os.WriteFile(filepath.Join(h.root, "daemon.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := ourProcess(t, "compose-supervisor", h.root, 0)
	if err := unix.Kill(before, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ourProcess(t, "compose-supervisor", h.root, before)
	again := inside{"after the supervisor's end", "tr -s ' ' < /proc/1/uid_map; stat -c %u:%g /new", maps + "\n2000:5"}
	ask("app", nil, []inside{again})
	h.in(dir, "restart", "app").ok()
	again.what = "after a restart"
	ask("app", nil, []inside{again})
	h.in(dir, "up", "-d", "--wait", "--force-recreate", "app").ok()
	ask("app", nil, []inside{{"made anew without userns-remap", "tr -s ' ' < /proc/1/uid_map; stat -c '%u:%g' /data/user /empty/mine", " 0 0 4294967295\n2000:0\n0:0"}})
	h.in(dir, "down", "-v").ok()
}

// copiesInUserNamespace copies in and out while the container runs, when its
// files are seen as the host's, and once it has stopped.
func copiesInUserNamespace(t *testing.T, h *host, dir string) {
	in := filepath.Join(dir, "in")
	if err := os.WriteFile(in, []byte("text\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(in, 2000, 3000); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"running", "stopped"} {
		if state == "stopped" {
			h.in(dir, "stop", "app").ok()
		}
		for to, flag := range map[string]string{"/plain": "-q", "/kept": "-a", "/empty/plain": "-q", "/empty/kept": "-a", "/made/kept": "-a"} {
			h.docker("cp", flag, in, "own-app-1:"+to+"-"+state).ok()
		}
		for from, flag := range map[string]string{"/kept": "-a", "/empty/kept": "-a"} {
			out := filepath.Join(dir, "out"+strings.ReplaceAll(from, "/", "-")+state)
			h.docker("cp", flag, "own-app-1:"+from+"-"+state, out).ok()
			if got := owner(t, out); got != "2000:3000" {
				t.Errorf("%s of a container that is %s comes out as %s", from, state, got)
			}
		}
		tar := h.docker("export", "own-app-1").ok().stdout
		if !bytes.Contains([]byte(tar), []byte("kept-"+state)) || strings.Contains(tar, fmt.Sprintf("%07o", remapMore+1000)) {
			t.Errorf("the export of a container that is %s lacks a file, or has the host's numbers", state)
		}
	}
	h.docker("commit", "own-app-1", "own:committed").ok()
	h.docker("run", "--rm", "--userns", "host", "own:committed", "stat", "-c", "%u:%g", "/kept-running", "/plain-running", "/new").ok().says("2000:3000\n0:0\n2000:5")
	h.docker("image", "rm", "own:committed").ok()
	h.in(dir, "start", "app").ok()
	for _, state := range []string{"running", "stopped"} {
		script := "cd /; stat -c %u:%g plain-$0 kept-$0 empty/plain-$0 empty/kept-$0 made/kept-$0 && cat kept-$0"
		h.in(dir, "exec", "-T", "app", "sh", "-c", script, state).ok().says("0:0\n2000:3000\n0:0\n2000:3000\n2000:3000\ntext")
	}
}

// TestUserNamespaceShared: containers that share their network, processes or
// memory share the user namespace that these belong to; one with other users
// has what it asked for, and no say over it.
func TestUserNamespaceShared(t *testing.T) {
	t.Parallel()
	h := remapped(t)
	dir := h.project("shared", "compose.yml", `services:
  x: {image: busybox, command: sleep 1000, stop_grace_period: 0s, cap_add: [NET_ADMIN], ipc: shareable}
  net: {image: busybox, command: sleep 1000, stop_grace_period: 0s, cap_add: [NET_ADMIN], network_mode: "service:x"}
  pid: {image: busybox, command: sleep 1000, stop_grace_period: 0s, pid: "service:x"}
  ipc: {image: busybox, command: sleep 1000, stop_grace_period: 0s, ipc: "service:x"}
  all: {image: busybox, command: sleep 1000, stop_grace_period: 0s, network_mode: "service:net", pid: "service:x", ipc: "service:x"}
  host: {image: busybox, command: sleep 1000, stop_grace_period: 0s, userns_mode: host}
  onhost: {image: busybox, command: sleep 1000, stop_grace_period: 0s, cap_add: [NET_ADMIN], network_mode: "service:host", pid: "service:host", ipc: "service:host"}
  hosts: {image: busybox, command: sleep 1000, stop_grace_period: 0s, cap_add: [NET_ADMIN], userns_mode: host, network_mode: "service:x", pid: "service:x", ipc: "service:x"}
`)
	h.in(dir, "up", "-d").ok()
	in := func(service, script string) string {
		t.Helper()
		return strings.TrimSpace(h.in(dir, "exec", "-T", service, "sh", "-c", script).ok().stdout)
	}
	const user = "readlink /proc/self/ns/user"
	kinds := map[string][]string{"net": {"net"}, "pid": {"pid"}, "ipc": {"ipc"}, "all": {"net", "pid", "ipc"}}
	look := func(when string) {
		t.Helper()
		for service, list := range kinds {
			for _, kind := range append(list, "user") {
				if a, b := in("x", "readlink /proc/self/ns/"+kind), in(service, "readlink /proc/self/ns/"+kind); a != b {
					t.Errorf("%s: x has the %s namespace %s, %s has %s", when, kind, a, service, b)
				}
			}
			if got := in(service, "ls -d /sys/class/net/lo /proc/self && touch /new && id -u"); got != "/proc/self\n/sys/class/net/lo\n0" {
				t.Errorf("%s: %s says %q", when, service, got)
			}
		}
		if got := in("net", "ip link set lo mtu 8000 && echo changed"); got != "changed" {
			t.Errorf("%s: of the network it shares, root says %q", when, got)
		}
	}
	look("at first")
	for _, service := range []string{"net", "all"} {
		h.in(dir, "restart", "--no-deps", service).ok()
		look("after a restart of " + service)
	}
	h.in(dir, "restart", "x").ok() // and so what depends on it
	h.in(dir, "restart", "--no-deps", "net", "pid", "ipc").ok()
	h.in(dir, "restart", "--no-deps", "all").ok()
	look("after a restart of all")

	for _, c := range [][3]string{
		{"onhost", "tr -s ' ' < /proc/self/uid_map | cut -d' ' -f3,4; ip link set lo mtu 9000 2>/dev/null || echo no say; ls -d /sys/class/net/lo /proc/self", fmt.Sprintf("%d 1000\n%d 64536\nno say\n/proc/self\n/sys/class/net/lo", remapUID, remapMore)},
		{"hosts", "tr -s ' ' < /proc/self/uid_map; ip link set lo mtu 9000 && echo a say; ls -d /sys/class/net/lo /proc/self", " 0 0 4294967295\na say\n/proc/self\n/sys/class/net/lo"},
	} {
		if got, want := in(c[0], c[1]), strings.TrimSpace(c[2]); got != want {
			t.Errorf("%s, %s:\n%s\nwant:\n%s", c[0], c[1], got, want)
		}
	}
	for flag, kind := range map[string]string{"--network": "net", "--pid": "pid", "--ipc": "ipc"} {
		got := h.docker("run", "--rm", flag, "container:shared-x-1", "busybox", "sh", "-c", user+"; readlink /proc/self/ns/"+kind).ok().stdout
		if want := in("x", user+"; readlink /proc/self/ns/"+kind); strings.TrimSpace(got) != want {
			t.Errorf("%s container: %q, want %q", flag, got, want)
		}
	}
	h.in(dir, "down").ok()
}

// TestUserNamespaceRefused: what cannot be in a user namespace says so, and
// what the administrator has to mend.
func TestUserNamespaceRefused(t *testing.T) {
	t.Parallel()
	h := remapped(t)
	for yaml, want := range map[string]string{
		"privileged: true":        "privileged needs the host's user namespace",
		"network_mode: host":      "network_mode: host needs the host's user namespace",
		"pid: host":               "pid: host needs the host's user namespace",
		"userns_mode: keep-id":    `userns_mode "keep-id" is not supported`,
		"user: '70000'":           "the user namespace maps no such user: 70000",
		"runtime: /usr/sbin/runc": "set userns_mode: host, or leave the runtime out",
	} {
		service := "services: {app: {image: busybox, command: cat /proc/self/uid_map, "
		dir := h.project("no", "compose.yml", service+yaml+"}}\n")
		h.in(dir, "up", "--no-log-prefix").fails(1, want)
		h.in(dir, "down").ok()
		if strings.Contains(want, "host's") {
			dir := h.project("yes", "compose.yml", service+yaml+", userns_mode: host}}\n")
			h.in(dir, "run", "--rm", "app").ok()
			h.in(dir, "down").ok()
		}
	}
	for _, c := range []struct{ file, text, want string }{
		{"subgid", "daemon:0:65536\n", "no range of IDs that a container may have"},
		{"subuid", "daemon:x:65536\n", "no range of IDs that a container may have"},
		{"subuid", "nobody:100000:65536\n", "subuid has no IDs for daemon: add a line such as daemon:100000:65536"},
		{"daemon.json", `{"userns-remap": "default"}`, "subuid has no IDs for dockremap: add a line such as dockremap:100000:65536"},
		{"daemon.json", `{"userns-remap": 5}`, "daemon.json"},
	} {
		if err := os.WriteFile(filepath.Join(h.root, c.file), []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		h.docker("run", "--rm", "busybox", "true").fails(125, c.want)
	}
}
