package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeAppArmor is a host with these profiles, or without the kernel's file
// system where they are "-".
func fakeAppArmor(t *testing.T, on bool, profiles string) *appArmor {
	t.Helper()
	dir := t.TempDir()
	a := &appArmor{on: on, list: filepath.Join(dir, "apparmor/profiles"), rules: filepath.Join(dir, "rules"), self: filepath.Join(dir, "self")}
	if profiles != "-" {
		if err := os.Mkdir(filepath.Dir(a.list), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(a.list, []byte(profiles), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func TestAppArmorProfile(t *testing.T) {
	const loaded = "docker-default (enforce)\nmine (complain)\n"
	for _, c := range []struct {
		on                   bool
		profiles             string
		opts                 string
		privileged           bool
		want, refused, loads string
	}{
		{on: false, profiles: "-", want: ""},
		{on: false, profiles: "-", opts: "apparmor=mine", want: ""},
		{on: false, profiles: "-", opts: "apparmor=unconfined", privileged: true, want: ""},
		{on: true, profiles: loaded, want: "compose-default", loads: "profile compose-default "},
		{on: true, profiles: loaded, opts: "apparmor=docker-default", want: "compose-default", loads: "profile compose-default "},
		{on: true, profiles: loaded, opts: "no-new-privileges", want: "compose-default", loads: "profile compose-default "},
		{on: true, profiles: loaded + "compose-default (enforce)\n", want: "compose-default"},
		{on: true, profiles: "not-compose-default (enforce)\ncompose-default//x (enforce)\n", want: "compose-default", loads: "profile compose-default "},
		{on: true, profiles: loaded, privileged: true, want: "unconfined"},
		{on: true, profiles: loaded, privileged: true, opts: "apparmor=mine", want: "mine"},
		{on: true, profiles: loaded, opts: "apparmor:unconfined", want: "unconfined"},
		{on: true, profiles: loaded, opts: "apparmor=mine", want: "mine"},
		{on: true, profiles: loaded, opts: "apparmor=other", want: "other", refused: "apparmor=other: this host has no such profile"},
		{on: true, profiles: loaded, opts: "apparmor=min", want: "min", refused: "no such profile"},
		{on: true, profiles: loaded, opts: "apparmor=a//&b", want: "a//&b"},
		{on: true, profiles: "-", want: ""},
		{on: true, profiles: "-", opts: "apparmor=mine", want: "mine"}, // the kernel has the last word
	} {
		a := fakeAppArmor(t, c.on, c.profiles)
		policy := ""
		a.load = func(p []byte) error { policy = string(p); return nil }
		s := &ContainerSpec{Privileged: c.privileged}
		if c.opts != "" {
			s.SecurityOpt = []string{c.opts}
		}
		got := a.profile(s)
		err := a.check(got)
		if err == nil {
			err = a.ready(got)
		}
		if got != c.want || (err != nil) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
		if (policy != "") != (c.loads != "") || !strings.Contains(policy, c.loads) {
			t.Errorf("%+v loads %q", c, policy)
		}
	}
}

// TestAppArmorFailsClosed: a default that cannot be loaded is no reason to run
// without.
func TestAppArmorFailsClosed(t *testing.T) {
	a := fakeAppArmor(t, true, "")
	a.load = func([]byte) error { return errors.New("no compiler") }
	if err := a.ready(a.profile(&ContainerSpec{})); err == nil || !strings.Contains(err.Error(), "no compiler; or set security_opt: apparmor=unconfined") {
		t.Errorf("it is ready: %v", err)
	}
	if err := os.Remove(a.list); err != nil {
		t.Fatal(err)
	}
	if err := a.ready(appArmorDefault); err == nil {
		t.Error("without the list it is ready")
	}
}

func TestAppArmorPolicy(t *testing.T) {
	a := fakeAppArmor(t, true, "")
	const rest = `network,
capability,
file,
umount,
signal (receive) peer=unconfined,
signal (receive) peer=runc,
signal (receive) peer=crun,
`
	if got := string(a.policy()); !strings.HasPrefix(got, "@{PROC}=/proc/\nprofile compose-default flags=(attach_disconnected,mediate_deleted) {\n"+rest+"signal (send,receive)") ||
		!strings.HasSuffix(got, "deny /sys/kernel/security/** rwklx,\n}\n") {
		t.Errorf("without the distribution's rules:\n%s", got)
	}
	for _, name := range []string{"tunables/global", "abstractions/base"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(a.rules, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(a.rules, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for own, want := range map[string]string{
		"/usr/bin/compose (enforce)\n": "signal (receive) peer=/usr/bin/compose,\n", "unconfined\n": "", "a,} x (enforce)\n": "",
	} {
		if err := os.WriteFile(a.self, []byte(own), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := string(a.policy()); !strings.HasPrefix(got, "include <tunables/global>\nprofile compose-default flags=(attach_disconnected,mediate_deleted) {\ninclude <abstractions/base>\n"+rest+want+"signal (send,receive)") {
			t.Errorf("under the profile %q:\n%s", own, got)
		}
	}
}
