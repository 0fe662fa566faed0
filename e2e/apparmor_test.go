package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestAppArmor asks from inside what profile there is and what it forbids, on a
// host that has AppArmor; on another it sees that nothing asks for it.
// scripts/vm-test gives it one that has.
func TestAppArmor(t *testing.T) {
	t.Parallel()
	on, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	host := strings.HasPrefix(string(on), "Y")
	t.Logf("this host has AppArmor: %v", host)
	h := remapped(t)
	const ask = "cat /proc/self/attr/current 2>/dev/null || echo none"
	// profile is what a process is under, by the name that it has on a host with AppArmor.
	profile := func(name string) string {
		switch {
		case !host:
			return "none"
		case name == "unconfined":
			return name
		}
		return name + " (enforce)"
	}
	mine := fmt.Sprintf("compose-e2e-%d", os.Getpid())
	if host {
		parser := func(policy string, flags ...string) {
			cmd := exec.Command("apparmor_parser", append(flags, "--skip-cache")...)
			cmd.Stdin = strings.NewReader(policy)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("apparmor_parser: %v\n%s", err, out)
			}
		}
		policy := "profile " + mine + " flags=(attach_disconnected,mediate_deleted) {\nfile,\nnetwork,\ncapability,\nsignal,\nptrace,\nunix,\ndeny /tmp/no w,\n}\n"
		parser(policy, "--replace")
		t.Cleanup(func() { parser(policy, "--remove") })
	}
	for _, c := range []struct {
		flags, script, want string
		only                bool // the profile alone forbids it
	}{
		{"", ask, profile("compose-default"), false},
		{"--init", ask + "; (" + ask + ")", profile("compose-default") + "\n" + profile("compose-default"), false},
		{"-u 1000 --security-opt no-new-privileges", ask, profile("compose-default"), false},
		{"--userns host", ask, profile("compose-default"), false},
		{"--userns host --privileged", ask, profile("unconfined"), false},
		{"--security-opt apparmor=unconfined", ask, profile("unconfined"), false},
		{"--security-opt apparmor=docker-default", ask, profile("compose-default"), false},
		{"--security-opt apparmor=" + mine, ask, profile(mine), false},
		{"--userns host --privileged --security-opt apparmor=" + mine, ask, profile(mine), false},
		{"--security-opt apparmor=" + mine, "touch /tmp/yes /tmp/no 2>&1", "touch: /tmp/no: Permission denied", true},
		{"--userns host --cap-add ALL --security-opt seccomp=unconfined", "mount -t tmpfs none /mnt 2>&1", "mount: mounting none on /mnt failed: Permission denied", true},
		{"--userns host --cap-add ALL --security-opt seccomp=unconfined --security-opt apparmor=unconfined", "mount -t tmpfs none /mnt 2>&1", "", false},
		{
			"--userns host --security-opt systempaths=unconfined", "echo h 2>&1 > /proc/sysrq-trigger; echo core 2>&1 > /proc/sys/kernel/core_pattern; head -c 1 /proc/kcore 2>&1",
			"sh: can't create /proc/sysrq-trigger: Permission denied\nsh: can't create /proc/sys/kernel/core_pattern: Permission denied\nhead: /proc/kcore: Permission denied", true,
		},
		{"", "sleep 9 & kill $! && wait; printf x > /proc/self/comm && cat /proc/1/comm && mkdir -p /a/b && touch /a/b/c && echo all as ever", "x\nall as ever", false},
	} {
		if c.only && !host {
			continue
		}
		out := h.docker(append(append([]string{"run", "--rm"}, strings.Fields(c.flags)...), "busybox", "sh", "-c", "mkdir -p /mnt /tmp; "+c.script)...)
		if got := strings.TrimSpace(out.stdout); got != c.want {
			t.Errorf("%s, %s:\n%s%s\nwant:\n%s", c.flags, c.script, got, out.stderr, c.want)
		}
	}
	dir := h.project("armed", "Dockerfile", "FROM busybox\nRUN ("+ask+") >/built\n", "compose.yml", `services:
  app:
    build: .
    image: armed:1
    command: [sh, -c, 'trap "echo asked to end; exit 0" TERM; while :; do sleep 0.1; done']
    stop_grace_period: 1h
    healthcheck: {test: "(`+ask+`) | grep -qx '`+profile("compose-default")+`'", interval: 1s}
  own: {image: armed:1, pull_policy: never, command: sleep 1000, stop_grace_period: 0s, security_opt: ["apparmor=`+mine+`"]}
`)
	h.in(dir, "build").ok()
	h.in(dir, "up", "-d", "--wait").ok()
	h.in(dir, "exec", "-T", "app", "sh", "-c", ask+"; cat /built").ok().says(profile("compose-default") + "\n" + profile("compose-default"))
	h.in(dir, "exec", "-T", "--privileged", "own", "sh", "-c", ask).ok().says(profile(mine))
	shown := func(name, want string) {
		t.Helper()
		if !host {
			want = ""
		}
		h.docker("inspect", "-f", "{{.AppArmorProfile}}", name).ok().says(want)
	}
	shown("armed-app-1", "compose-default")
	shown("armed-own-1", mine)
	if info := h.docker("info", "-f", "{{json .SecurityOptions}}").ok().stdout; strings.Contains(info, "name=apparmor") != host {
		t.Errorf("info says %s", info)
	}
	h.in(dir, "stop").ok()
	h.in(dir, "logs", "--no-log-prefix", "app").ok().says("asked to end")
	h.in(dir, "down").ok()

	bundle := h.bundle(ask, func(s *specs.Spec) { s.Process.ApparmorProfile = mine })
	refused := h.docker("run", "--rm", "--security-opt", "apparmor=no-such", "busybox", "echo", "ran")
	if host {
		h.compose("oci", "run", "--bundle", bundle, "mine").ok().says(profile(mine))
		refused.fails(125, "apparmor=no-such: this host has no such profile")
	} else {
		h.compose("oci", "run", "--bundle", bundle, "mine").fails(1, "process.apparmorProfile is not supported")
		refused.ok().says("ran")
	}
}
