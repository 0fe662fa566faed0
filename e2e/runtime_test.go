package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRuntimes hands containers to other OCI runtimes: Debian's runc and, under
// the name of one, our own.
func TestRuntimes(t *testing.T) {
	t.Parallel()
	own := filepath.Join(t.TempDir(), "compose-oci")
	if err := os.Symlink(binary, own); err != nil {
		t.Fatal(err)
	}
	for name, runtime := range map[string]string{"runc": "/usr/sbin/runc", "own": own} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.busybox("busybox")
			runWith(t, h, runtime)
		})
	}
}

func runWith(t *testing.T, h *host, runtime string) {
	if _, err := os.Stat(runtime); err != nil {
		t.Fatalf("the scenario needs Debian's runc: %v", err)
	}
	dir := h.project("rt", "compose.yml", `
services:
  app:
    image: busybox
    runtime: `+runtime+`
    user: guest
    group_add: ["77"]
    init: true
    environment: {A: b}
    mem_limit: 64m
    pids_limit: 60
    sysctls: {net.ipv4.ip_default_ttl: 33, kernel.msgmax: 9000}
    ulimits: {nofile: 100}
    cap_drop: [ALL]
    cap_add: [CHOWN]
    read_only: true
    tmpfs: [/scratch]
    volumes: [kept:/kept, {type: volume, source: kept, target: /part, volume: {subpath: deep/er}}]
    networks: {default: {aliases: [site]}}
    ports: ["127.0.0.1:0:8000"]
    healthcheck: {test: "wget -qO /dev/null http://127.0.0.1:8000/passwd", interval: 100ms, retries: 600}
    command: [sh, -c, "echo begun; echo wrong >&2; trap 'exit 7' TERM; httpd -f -p 8000 -h /etc & wait"]
  broken: {image: busybox, runtime: `+runtime+`, command: nosuchprogram, profiles: [broken]}
  again: {image: busybox, runtime: `+runtime+`, command: [sh, -c, "echo run >>/kept/runs; exit 3"], restart: "on-failure:2", volumes: [kept:/kept], profiles: [again]}
  job: {image: busybox, runtime: `+runtime+`, command: "true", profiles: [chain]}
  mate: {image: busybox, runtime: `+runtime+`, ipc: "service:app", command: cat /dev/shm/f, profiles: [mate]}
  after: {image: busybox, command: "true", profiles: [chain], depends_on: {job: {condition: service_completed_successfully}}}
volumes: {kept: {}}
`)
	h.in(dir, "run", "--rm", "-T", "--no-deps", "again", "sh", "-c", "mkdir -p /kept/deep/er; echo part >/kept/deep/er/file").ok()
	h.in(dir, "up", "-d", "--wait").ok()
	inside := func(script, want string) {
		t.Helper()
		h.in(dir, "exec", "-T", "app", "sh", "-c", script).ok().says(want)
	}
	inside("id -u; id -G; echo $HOME $A", "1000\n1000 50 77\n/tmp b")
	inside("cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/msgmax; ulimit -n", "33\n9000\n100")
	inside("grep -E 'CapBnd|Seccomp:' /proc/1/status", "CapBnd:\t0000000000000001\nSeccomp:\t2")
	inside("touch /x 2>&1; touch /scratch/x && echo written", "touch: /x: Read-only file system\nwritten")
	inside("tr '\\0' ' ' </proc/1/cmdline | cut -c1-22; cat /proc/1/comm", "/sbin/compose-init -- \ncompose-init")
	inside("cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null || true", "67108864\n60")
	inside("echo shared >/dev/shm/f", "")
	h.in(dir, "run", "--rm", "-T", "--no-deps", "mate").ok().says("shared")
	inside("cat /part/file; touch /part/x 2>&1 | sed 's/.*: //'", "part\nPermission denied")
	inside("wget -qO- http://site:8000/group | head -n 1", "root:x:0:")
	h.in(dir, "exec", "-T", "app", "sh", "-c", "exit 9").fails(9)
	address := strings.TrimSpace(h.in(dir, "port", "app", "8000").ok().stdout)
	eventually(t, "the published page", func() error { _, err := get("http://" + address + "/group"); return err })
	h.in(dir, "logs", "--no-log-prefix").ok()
	if out := h.in(dir, "top").ok().stdout; !strings.Contains(out, "httpd") {
		t.Errorf("top: %s", out)
	}
	h.in(dir, "pause").ok()
	h.in(dir, "unpause").ok()

	// It outlives its supervisor, which is not its parent, and its end is told.
	if err := unix.Kill(ourProcess(t, "compose-supervisor", h.root, 0), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the published page again", func() error { _, err := get("http://" + address + "/group"); return err })
	h.in(dir, "stop").ok()
	h.docker("inspect", "-f", "{{.State.ExitCode}}", "rt-app-1").says("7")
	h.in(dir, "start").ok()
	h.in(dir, "kill", "-s", "KILL").ok()
	eventually(t, "its end", func() error {
		if out := h.docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "rt-app-1").ok().stdout; out != "exited 137\n" {
			return errors.New(out)
		}
		return nil
	})

	if out := h.in(dir, "run", "--rm", "app", "sh", "-c", "echo out; echo err >&2; exit 5"); out.code != 5 || !strings.Contains(out.stdout, "out") {
		t.Errorf("run: %+v", out)
	}
	tty := h.docker("run", "--rm", "-t", "--runtime", runtime, "busybox", "sh", "-c", "test -t 1 && echo terminal").ok()
	if strings.TrimSpace(tty.stdout) != "terminal" {
		t.Errorf("a terminal: %q", tty.stdout)
	}
	h.in(dir, "up", "-d", "broken").fails(1, "nosuchprogram", "executable file not found")
	h.docker("run", "--rm", "--runtime", runtime, "busybox", "nosuchprogram").fails(127, "executable file not found")
	h.in(dir, "up", "-d", "again").ok()
	eventually(t, "three runs", func() error {
		out := h.docker("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "rt-again-1").ok().stdout
		if out != "exited 2\n" {
			return errors.New(out)
		}
		return nil
	})
	if out := h.in(dir, "run", "--rm", "-T", "--no-deps", "again", "cat", "/kept/runs").ok().stdout; strings.Count(out, "run") != 3 {
		t.Errorf("its runs: %q", out)
	}
	for range 5 {
		h.in(dir, "--profile", "chain", "up", "-d", "--force-recreate", "after").ok()
	}
	h.in(dir, "--profile", "*", "down", "-v", "-t", "0").ok()
	for _, left := range []string{"bundles", "runtimes"} {
		if entries, _ := os.ReadDir(filepath.Join(h.root, "run", left)); len(entries) > 0 {
			t.Error(fmt.Sprint("left: ", entries))
		}
	}
}

// TestEndIsKnown has containers end whose parent is the keeper, because another
// runtime has made them or because their supervisor was killed with them.
// Whoever looks meanwhile sees no other exit status than theirs.
func TestEndIsKnown(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("ends", "compose.yml", `services:
  other: {image: busybox, runtime: /usr/sbin/runc, command: sh -c 'trap "exit 7" TERM; while :; do sleep 0.05; done'}
  own: {image: busybox, command: sh -c 'trap "exit 7" TERM; while :; do sleep 0.05; done'}
`)
	for range 3 {
		h.in(dir, "up", "-d").ok()
		for name, killed := range map[string]bool{"ends-other-1": false, "ends-own-1": true} {
			if killed {
				if err := unix.Kill(ourProcess(t, "compose-supervisor", h.root, 0), unix.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			for s := h.state(name); s.Status != "exited" || s.ExitCode != 7; s = h.state(name) {
				if s.Status != "running" {
					t.Fatalf("%s is %+v", name, s)
				}
				_ = unix.Kill(s.Pid, unix.SIGTERM) // again, until its shell heeds it
			}
		}
	}
	h.in(dir, "down", "-t", "0").ok()
}

// TestRuntimeStartKilled has the supervisor killed around each step of another
// runtime's start. The container is started once, and nothing is left of what
// was made and not started.
func TestRuntimeStartKilled(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	tools := t.TempDir()
	// The runtime kills whoever has called it, once, at the moment that a file names.
	script := filepath.Join(tools, "killer")
	if err := os.WriteFile(script, []byte(`#!/bin/sh
moment() {
	case " $* " in
	*" $when "*) [ "$(cat `+tools+`/when 2>/dev/null)" = "$at $when" ] && rm `+tools+`/when && kill -9 $PPID ;;
	esac
}
at=before; for when in create start; do moment "$@"; done
/usr/sbin/runc "$@"; code=$?
at=after; for when in create start; do moment "$@"; done
exit $code
`), 0o755); err != nil {
		t.Fatal(err)
	}
	dir := h.project("killed", "compose.yml", `services:
  a: {image: busybox, runtime: `+script+`, command: sh -c 'echo run | tee -a /kept/runs; exec sleep 100000', init: true, volumes: ['kept:/kept']}
  terminal: {image: busybox, runtime: `+script+`, tty: true, command: sleep 100000, init: true, profiles: [terminal]}
volumes: {kept: }
`)
	for _, service := range []string{"a", "terminal"} {
		for _, moment := range []string{"before create", "after create", "before start", "after start"} {
			if err := os.WriteFile(filepath.Join(tools, "when"), []byte(moment), 0o600); err != nil {
				t.Fatal(err)
			}
			h.in(dir, "up", "-d", service).ok()
			if _, err := os.Stat(filepath.Join(tools, "when")); err == nil {
				t.Errorf("nobody was killed %s", moment)
			}
			if s := h.state("killed-" + service + "-1"); s.Status != "running" {
				t.Errorf("%s: %+v", moment, s)
			}
			if service == "a" {
				h.in(dir, "exec", "-T", "a", "cat", "/kept/runs").ok().says("run\n")
				eventually(t, "its output", func() error {
					if out := h.in(dir, "logs", "--no-log-prefix", "a").ok().stdout; out != "run\n" {
						return fmt.Errorf("%s: it says %q", moment, out)
					}
					return nil
				})
			}
			if made, _ := filepath.Glob(filepath.Join(h.root, "run/runtimes/*/*")); len(made) != 1 {
				t.Errorf("%s: the runtime has made %v", moment, made)
			}
			h.in(dir, "--profile", "terminal", "down", "-v", "-t", "0").ok()
			for _, kind := range []string{"runtimes", "bundles"} {
				if left, _ := filepath.Glob(filepath.Join(h.root, "run", kind, "*")); len(left) > 0 {
					t.Errorf("%s: there is left %v", moment, left)
				}
			}
		}
	}
}
