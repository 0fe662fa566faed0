package seccomp

import (
	"bytes"
	"encoding/binary"
	"flag"
	"os"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	mobyseccomp "github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "write the ready programs anew")

// dockerCaps are those of Docker's capabilities that moby's profile asks for.
var dockerCaps = []string{"CAP_SYS_CHROOT"}

// defaultProfile is moby's on any architecture, with a kernel of today.
func defaultProfile(arch string) *specs.LinuxSeccomp {
	all := mobyseccomp.DefaultProfile()
	profile := &all.LinuxSeccomp
	native := map[string]specs.Arch{"amd64": specs.ArchX86_64, "arm64": specs.ArchAARCH64}[arch]
	for _, a := range all.ArchMap {
		if a.Arch == native {
			profile.Architectures = append([]specs.Arch{a.Arch}, a.SubArches...)
		}
	}
	has := func(list []string) func(string) bool {
		return func(s string) bool { return slices.Contains(list, s) }
	}
	for _, s := range all.Syscalls {
		in, out := s.Includes, s.Excludes
		switch {
		case out != nil && (slices.ContainsFunc(out.Caps, has(dockerCaps)) || slices.Contains(out.Arches, arch) || out.MinKernel != nil):
		case in != nil && len(in.Arches) > 0 && !slices.Contains(in.Arches, arch):
		case in != nil && slices.ContainsFunc(in.Caps, func(c string) bool { return !slices.Contains(dockerCaps, c) }):
		default:
			profile.Syscalls = append(profile.Syscalls, s.LinuxSyscall)
		}
	}
	return profile
}

// TestReady: the programs that come with the source are what the profile is
// compiled to. "go generate" brings them up to date.
func TestReady(t *testing.T) {
	for arch := range abis {
		profile := defaultProfile(arch)
		program, err := compile(profile, arch)
		if err != nil {
			t.Fatal(err)
		}
		of := fingerprint(profile)
		var code bytes.Buffer
		for _, i := range program {
			_ = binary.Write(&code, binary.LittleEndian, i)
		}
		file := "ready_" + arch + ".bpf"
		if *update {
			if err := os.WriteFile(file, append(of[:], code.Bytes()...), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(have, append(of[:], code.Bytes()...)) {
			t.Errorf("%s is out of date: run go generate (%v)", file, err)
		}
		if !slices.Equal(decode(code.Bytes()), program) {
			t.Errorf("%s: it reads as another program", file)
		}
	}
	spec := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: dockerCaps}}}
	want, err := mobyseccomp.GetDefaultProfile(spec)
	if have := defaultProfile(runtime.GOARCH); err != nil || !reflect.DeepEqual(have.Syscalls, want.Syscalls) || !slices.Equal(have.Architectures, want.Architectures) {
		t.Errorf("the profile is not moby's (%v)", err)
	}
}

// TestReadyForNoOther: a profile that differs in whatever counts is compiled.
func TestReadyForNoOther(t *testing.T) {
	one := uint(unix.ENOSYS)
	base := func() *specs.LinuxSeccomp { return defaultProfile(runtime.GOARCH) }
	if _, ok := Ready(base()); !ok {
		t.Fatal("the default profile is not ready")
	}
	args := slices.IndexFunc(base().Syscalls, func(s specs.LinuxSyscall) bool { return len(s.Args) > 0 })
	for what, change := range map[string]func(*specs.LinuxSeccomp){
		"default action": func(p *specs.LinuxSeccomp) { p.DefaultAction = specs.ActAllow },
		"default errno":  func(p *specs.LinuxSeccomp) { p.DefaultErrnoRet = &one },
		"architectures":  func(p *specs.LinuxSeccomp) { p.Architectures = p.Architectures[:1] },
		"a call less":    func(p *specs.LinuxSeccomp) { p.Syscalls[0].Names = p.Syscalls[0].Names[1:] },
		"action":         func(p *specs.LinuxSeccomp) { p.Syscalls[0].Action = specs.ActErrno },
		"errno":          func(p *specs.LinuxSeccomp) { p.Syscalls[0].ErrnoRet = &one },
		"value":          func(p *specs.LinuxSeccomp) { p.Syscalls[args].Args[0].Value++ },
		"second value":   func(p *specs.LinuxSeccomp) { p.Syscalls[args].Args[0].ValueTwo++ },
		"argument":       func(p *specs.LinuxSeccomp) { p.Syscalls[args].Args[0].Index++ },
		"comparison":     func(p *specs.LinuxSeccomp) { p.Syscalls[args].Args[0].Op = specs.OpNotEqual },
		"a rule less":    func(p *specs.LinuxSeccomp) { p.Syscalls = p.Syscalls[1:] },
	} {
		other := base()
		change(other)
		if _, ok := Ready(other); ok {
			t.Errorf("%s: it is taken for the default profile", what)
		}
	}
}
