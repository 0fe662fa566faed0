package seccomp

import (
	"encoding/binary"
	"runtime"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	mobyseccomp "github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// load compiles profile and returns what the kernel would answer a call.
func load(t *testing.T, profile *specs.LinuxSeccomp) func(arch, number uint32, args ...uint64) uint32 {
	t.Helper()
	filter, err := Compile(profile)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]bpf.RawInstruction, len(filter))
	for i, f := range filter {
		raw[i] = bpf.RawInstruction{Op: f.Code, Jt: f.Jt, Jf: f.Jf, K: f.K}
	}
	code, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the program has an unknown instruction")
	}
	// A packet is read in network order, struct seccomp_data in the host's.
	vm, err := bpf.NewVM(code)
	if err != nil {
		t.Fatal(err)
	}
	return func(arch, number uint32, args ...uint64) uint32 {
		data := make([]byte, 64)
		binary.BigEndian.PutUint32(data[offNumber:], number)
		binary.BigEndian.PutUint32(data[offArch:], arch)
		for i, a := range args {
			binary.BigEndian.PutUint32(data[offArgs+8*i:], uint32(a))
			binary.BigEndian.PutUint32(data[offArgs+8*i+4:], uint32(a>>32))
		}
		verdict, err := vm.Run(data)
		if err != nil {
			t.Fatal(err)
		}
		return uint32(verdict)
	}
}

// expect is what the profile says of a call, by its text alone.
func expect(profile *specs.LinuxSeccomp, name string, args []uint64) uint32 {
	for _, s := range profile.Syscalls {
		for _, n := range s.Names {
			if n != name {
				continue
			}
			fits := true
			for _, a := range s.Args {
				v := args[a.Index]
				fits = fits && map[specs.LinuxSeccompOperator]bool{
					specs.OpEqualTo: v == a.Value, specs.OpNotEqual: v != a.Value,
					specs.OpLessThan: v < a.Value, specs.OpLessEqual: v <= a.Value,
					specs.OpGreaterThan: v > a.Value, specs.OpGreaterEqual: v >= a.Value,
					specs.OpMaskedEqual: v&a.Value == a.ValueTwo,
				}[a.Op]
			}
			if fits {
				verdict, _ := action(s.Action, s.ErrnoRet)
				return verdict
			}
		}
	}
	verdict, _ := action(profile.DefaultAction, profile.DefaultErrnoRet)
	return verdict
}

const enosys = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.ENOSYS)

var interesting = []uint64{
	0, 1, 2, 3, 7, 8, 10, 16, 17, 38, 40, 44, 45, 46, 0x20000, 0x20008, 0x7e020000, 0x10000000, 0x11,
	0xfffffffe, 0xffffffff, 0x100000000, 0x100000003, 0xffffffff00000000, ^uint64(0),
}

// TestMobysProfile compares the compiled program with the profile's text over
// every call of every ABI and many values of the first two arguments.
func TestMobysProfile(t *testing.T) {
	for _, caps := range [][]string{nil, dockerCaps, {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE"}} {
		spec := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}}}
		profile, err := mobyseccomp.GetDefaultProfile(spec)
		if err != nil {
			t.Fatal(err)
		}
		run := load(t, profile)
		for _, a := range abis[runtime.GOARCH] {
			byNumber := map[uint32][]string{}
			listed, highest := map[string]bool{}, uint32(0)
			for _, s := range profile.Syscalls {
				for _, n := range s.Names {
					listed[n] = true
				}
			}
			for name, n := range a.numbers() {
				byNumber[n] = append(byNumber[n], name)
				if listed[name] {
					highest = max(highest, n)
				}
			}
			for n, names := range byNumber {
				if len(names) > 1 {
					continue // one number with two names is one call with the rules of both
				}
				for _, x := range interesting {
					args := []uint64{x, 5, 0, 0, 0, 0}
					want := expect(profile, names[0], args)
					if n > highest {
						want = enosys
					}
					if got := run(a.audit, n, args...); got != want {
						t.Errorf("%x %s(%#x): %#x, want %#x", a.audit, names[0], x, got, want)
					}
				}
			}
			if got := run(a.audit, 3000); got != enosys {
				t.Errorf("a call that nobody knows yet: %#x, want ENOSYS", got)
			}
		}
		if got := run(0x12345678, 0); got != enosys {
			t.Errorf("an unknown architecture: %#x", got)
		}
		if got := run(0xc000003e, x32Bit|1); runtime.GOARCH == "amd64" && got != enosys {
			t.Errorf("x32: %#x", got)
		}
	}
}

// TestComparisons tries every operator on values around the bounds of both halves.
func TestComparisons(t *testing.T) {
	a := abis[runtime.GOARCH][0]
	number := a.numbers()["getpriority"]
	for _, op := range []specs.LinuxSeccompOperator{
		specs.OpEqualTo, specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpGreaterThan, specs.OpGreaterEqual, specs.OpMaskedEqual,
	} {
		for _, value := range interesting {
			profile := &specs.LinuxSeccomp{
				DefaultAction: specs.ActAllow,
				Syscalls: []specs.LinuxSyscall{{Names: []string{"getpriority"}, Action: specs.ActKillProcess, Args: []specs.LinuxSeccompArg{
					{Index: 1, Value: value, ValueTwo: value & 0xffff0000ffff, Op: op}, {Index: 0, Value: 5, Op: specs.OpEqualTo},
				}}},
			}
			run := load(t, profile)
			for _, x := range interesting {
				for _, first := range []uint64{5, 6} {
					args := []uint64{first, x, 0, 0, 0, 0}
					if got, want := run(a.audit, number, args...), expect(profile, "getpriority", args); got != want {
						t.Errorf("%s %#x on (%d, %#x): %#x, want %#x", op, value, first, x, got, want)
					}
				}
			}
		}
	}
}

func TestRefusesWhatItDoesNotKnow(t *testing.T) {
	for name, profile := range map[string]*specs.LinuxSeccomp{
		"action":     {DefaultAction: "SCMP_ACT_DANCE"},
		"notify":     {DefaultAction: specs.ActNotify},
		"comparison": {DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Op: "~"}}}}},
	} {
		if _, err := Compile(profile); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestListOfWhatIsRefused: a profile that allows by default allows what it
// does not name, also system calls beyond those that it does.
func TestListOfWhatIsRefused(t *testing.T) {
	ask := load(t, &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"getcwd"}, Action: specs.ActErrno}}})
	arch := abis[runtime.GOARCH][0]
	for name, want := range map[string]uint32{
		"getcwd": unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM), "execve": unix.SECCOMP_RET_ALLOW, "exit_group": unix.SECCOMP_RET_ALLOW, "openat2": unix.SECCOMP_RET_ALLOW,
	} {
		if got := ask(arch.audit, arch.numbers()[name]); got != want {
			t.Errorf("%s: %#x, want %#x", name, got, want)
		}
	}
}
