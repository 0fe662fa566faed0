package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"compose/engine/runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// appArmorDefault is the profile of containers that ask for none. It forbids
// what Docker's docker-default does.
const appArmorDefault = "compose-default"

// appArmor is the host's side of AppArmor.
type appArmor struct {
	on    bool
	list  string                    // the file with the names of the profiles that are loaded
	rules string                    // the directory of what the distribution's profiles have in common
	self  string                    // the file with our own profile
	load  func(policy []byte) error // into the kernel
}

func hostAppArmor() *appArmor {
	return &appArmor{
		on: runtime.AppArmor(), list: "/sys/kernel/security/apparmor/profiles", rules: "/etc/apparmor.d", self: "/proc/self/attr/current", load: parseAppArmor,
	}
}

// AppArmorProfile is the profile that a container runs under, "" on a host
// without AppArmor.
func AppArmorProfile(s *ContainerSpec) string { return hostAppArmor().profile(s) }

// label puts a process of the container under its profile.
func label(s *ContainerSpec, p *specs.Process) error {
	host := hostAppArmor()
	p.ApparmorProfile = host.profile(s)
	return host.ready(p.ApparmorProfile)
}

// profile chooses. Where the file system with the kernel's list is not mounted,
// as in a container of Docker's that we run in, there is no default.
func (a *appArmor) profile(s *ContainerSpec) string {
	if !a.on {
		return ""
	}
	asked := ""
	for _, text := range s.SecurityOpt {
		if opt, err := parseSecurityOpt(text); err == nil && opt.key == "apparmor" {
			asked = opt.value
		}
	}
	switch {
	case asked == "" && s.Privileged:
		return runtime.Unconfined
	case asked == "", asked == "docker-default":
		if _, err := os.Stat(filepath.Dir(a.list)); err != nil {
			return ""
		}
		return appArmorDefault
	}
	return asked
}

// check sees that a profile of the administrator's is there, where that can be seen.
func (a *appArmor) check(profile string) error {
	if profile == "" || profile == appArmorDefault || profile == runtime.Unconfined || strings.Contains(profile, "//") || strings.HasPrefix(profile, ":") {
		return nil // ours, none, or names that the kernel alone understands
	}
	loaded, err := a.loaded(profile)
	if err == nil && !loaded {
		return fmt.Errorf("security_opt apparmor=%s: this host has no such profile: load it with apparmor_parser --replace FILE", profile)
	}
	return nil // whatever hides the list: the kernel refuses what is not there
}

// ready sees that the profile can be entered, and loads our own.
func (a *appArmor) ready(profile string) error {
	if profile != appArmorDefault {
		return a.check(profile)
	}
	loaded, err := a.loaded(profile)
	if loaded || err != nil {
		return err
	}
	if err := a.load(a.policy()); err != nil {
		return fmt.Errorf("load the AppArmor profile %s: %w; or set security_opt: apparmor=unconfined", appArmorDefault, err)
	}
	return nil
}

func (a *appArmor) loaded(profile string) (bool, error) {
	list, err := os.ReadFile(a.list)
	if err != nil {
		return false, fmt.Errorf("look for the AppArmor profile %s: %w", profile, err)
	}
	// "name (mode)" a line; a name may have blanks.
	return bytes.Contains(append([]byte("\n"), list...), []byte("\n"+profile+" (")), nil
}

// parseAppArmor has the distribution's compiler load a policy.
func parseAppArmor(policy []byte) error {
	parser, err := exec.LookPath("apparmor_parser")
	if errors.Is(err, exec.ErrNotFound) {
		parser, err = exec.LookPath("/sbin/apparmor_parser")
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return errors.New("this host has AppArmor but not its compiler: install apparmor_parser (the package apparmor)")
	}
	if err != nil {
		return err
	}
	cmd := exec.Command(parser, "--skip-cache", "--replace")
	cmd.Stdin = bytes.NewReader(policy)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", parser, err, strings.Join(strings.Fields(string(out)), " "))
	}
	return nil
}

// policy is the default profile in the compiler's language: everything but
// mounts and what is the host's below /proc and /sys. Signals and traces come
// from us and from other runtimes, and go to none but the container's own kind.
func (a *appArmor) policy() []byte {
	var b strings.Builder
	include := func(name, otherwise string) {
		if _, err := os.Stat(filepath.Join(a.rules, name)); err == nil {
			otherwise = "include <" + name + ">"
		}
		if otherwise != "" {
			b.WriteString(otherwise + "\n")
		}
	}
	include("tunables/global", "@{PROC}=/proc/")
	fmt.Fprintf(&b, "profile %s flags=(attach_disconnected,mediate_deleted) {\n", appArmorDefault)
	include("abstractions/base", "")
	b.WriteString("network,\ncapability,\nfile,\numount,\n")
	peers := []string{"unconfined", "runc", "crun"}
	if own, err := os.ReadFile(a.self); err == nil {
		// Of "name (mode)", and without what would end the rule.
		name, _, _ := strings.Cut(strings.TrimRight(string(own), "\x00\n"), " (")
		if name != "" && name != "unconfined" && !strings.ContainsAny(name, " ,{}[]()\"\\\n") {
			peers = append(peers, name)
		}
	}
	for _, peer := range peers {
		fmt.Fprintf(&b, "signal (receive) peer=%s,\n", peer)
	}
	fmt.Fprintf(&b, "signal (send,receive) peer=%[1]s,\nptrace (trace,read,tracedby,readby) peer=%[1]s,\n", appArmorDefault)
	for _, rule := range []string{
		"mount",
		"@{PROC}/* w", // files of /proc itself
		"@{PROC}/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9]*}/** w", // below it, but for processes and sys
		"@{PROC}/sys/[^k]** w",                       // of sys, only k*,
		"@{PROC}/sys/kernel/{?,??,[^s][^h][^m]**} w", // and of kernel, only shm*
		"@{PROC}/sysrq-trigger rwklx", "@{PROC}/kcore rwklx",
		"/sys/[^f]*/** wklx", "/sys/f[^s]*/** wklx", "/sys/fs/[^c]*/** wklx", "/sys/fs/c[^g]*/** wklx", "/sys/fs/cg[^r]*/** wklx", // all but /sys/fs/cgroup
		"/sys/firmware/** rwklx", "/sys/devices/virtual/powercap/** rwklx", "/sys/kernel/security/** rwklx",
	} {
		b.WriteString("deny " + rule + ",\n")
	}
	b.WriteString("}\n")
	return []byte(b.String())
}
