// Package seccomp compiles the seccomp section of an OCI runtime-spec into
// the classic BPF program that seccomp(2) takes.
package seccomp

import (
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Offsets in struct seccomp_data.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// x32Bit marks a system call of the x32 ABI, which shares AUDIT_ARCH_X86_64.
const x32Bit = 0x40000000

// Compile turns profile into a program. System calls newer than any the
// profile could know are answered with ENOSYS rather than its default error,
// so that C libraries fall back to older ones, and so are those of ABIs that
// the profile does not list.
func Compile(profile *specs.LinuxSeccomp) ([]unix.SockFilter, error) {
	if program, ok := Ready(profile); ok {
		return program, nil
	}
	return compile(profile, runtime.GOARCH)
}

func compile(profile *specs.LinuxSeccomp, arch string) ([]unix.SockFilter, error) {
	known, ok := abis[arch]
	if !ok {
		return nil, fmt.Errorf("seccomp: no system call table for %s; run with seccomp=unconfined", arch)
	}
	fallback, err := action(profile.DefaultAction, profile.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	enosys := uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.ENOSYS)
	switch profile.DefaultAction {
	case specs.ActAllow, specs.ActLog, specs.ActTrace:
		enosys = fallback // a list of what is refused says nothing of the rest
	}

	var blocks [][]bpf.Instruction
	for i, a := range known {
		if i > 0 && !compat(profile.Architectures) {
			break
		}
		block, err := compileABI(profile, a, fallback, enosys)
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, block)
	}
	program := []bpf.Instruction{bpf.LoadAbsolute{Off: offArch, Size: 4}}
	for i, block := range blocks {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: known[i].audit, SkipTrue: 1}, bpf.Jump{Skip: uint32(len(block))})
		program = append(program, block...)
	}
	program = append(program, bpf.RetConstant{Val: enosys})
	if len(program) > 4096 { // BPF_MAXINSNS
		return nil, fmt.Errorf("seccomp: the profile needs %d instructions, the kernel takes 4096", len(program))
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return filter, nil
}

// compat says whether the profile lists a 32-bit architecture beside the native one.
func compat(list []specs.Arch) bool {
	return slices.Contains(list, specs.ArchX86) || slices.Contains(list, specs.ArchARM)
}

// leaf is what happens to the system calls numbered first and above, up to the
// next leaf.
type leaf struct {
	first uint32
	code  []bpf.Instruction
	plain bool // code is one return, so that equal neighbours can be joined
}

func compileABI(profile *specs.LinuxSeccomp, a abi, fallback, enosys uint32) ([]bpf.Instruction, error) {
	rules := map[uint32][]specs.LinuxSyscall{}
	highest := uint32(0)
	for _, s := range profile.Syscalls {
		for _, name := range s.Names {
			if n, ok := a.numbers()[name]; ok {
				rules[n] = append(rules[n], s)
				highest = max(highest, n)
			}
		}
	}
	var leaves []leaf
	for n := uint32(0); n <= highest; n++ {
		l, err := compileCall(n, rules[n], fallback)
		if err != nil {
			return nil, err
		}
		if last := len(leaves) - 1; last >= 0 && l.plain && leaves[last].plain && l.code[0] == leaves[last].code[0] {
			continue
		}
		leaves = append(leaves, l)
	}
	leaves = append(leaves, leaf{first: highest + 1, code: []bpf.Instruction{bpf.RetConstant{Val: enosys}}})
	if a.audit == 0xc000003e {
		leaves = append(leaves, leaf{first: x32Bit, code: []bpf.Instruction{bpf.RetConstant{Val: enosys}}})
	}
	return append([]bpf.Instruction{bpf.LoadAbsolute{Off: offNumber, Size: 4}}, search(leaves)...), nil
}

// search is a balanced tree over the leaves' first numbers: about nine
// comparisons for any call. The kernel runs the filter for every number when
// it is loaded, and translates each instruction, so a short program and short
// ways through it are what makes a container start sooner, too.
func search(leaves []leaf) []bpf.Instruction {
	if len(leaves) == 1 {
		return leaves[0].code
	}
	mid := len(leaves) / 2
	left, right := search(leaves[:mid]), search(leaves[mid:])
	var code []bpf.Instruction
	if len(left) <= 255 {
		code = append(code, bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: leaves[mid].first, SkipTrue: uint8(len(left))})
	} else {
		// The long jump reaches where a condition's cannot.
		code = append(code,
			bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: leaves[mid].first, SkipFalse: 1},
			bpf.Jump{Skip: uint32(len(left))})
	}
	return append(append(code, left...), right...)
}

func compileCall(n uint32, rules []specs.LinuxSyscall, fallback uint32) (leaf, error) {
	if code, ok, err := compileValues(rules, fallback); err != nil || ok {
		return leaf{n, code, false}, err
	}
	var code []bpf.Instruction
	for _, r := range rules {
		verdict, err := action(r.Action, r.ErrnoRet)
		if err != nil {
			return leaf{}, err
		}
		if len(r.Args) == 0 {
			// A rule without a condition decides alone.
			return leaf{n, []bpf.Instruction{bpf.RetConstant{Val: verdict}}, true}, nil
		}
		test, err := compileArgs(r.Args, verdict)
		if err != nil {
			return leaf{}, err
		}
		code = append(code, test...)
	}
	code = append(code, bpf.RetConstant{Val: fallback})
	return leaf{n, code, len(code) == 1}, nil
}

// compileArgs returns verdict if all conditions hold, and falls through otherwise.
func compileArgs(args []specs.LinuxSeccompArg, verdict uint32) ([]bpf.Instruction, error) {
	code := []bpf.Instruction{bpf.RetConstant{Val: verdict}}
	for i := len(args) - 1; i >= 0; i-- {
		test, err := compileArg(args[i], uint8(len(code)))
		if err != nil {
			return nil, err
		}
		code = append(test, code...)
	}
	return code, nil
}

// compileArg skips `skip` instructions behind it unless the condition holds.
// Arguments are 64 bits wide and are loaded half by half (little endian).
func compileArg(a specs.LinuxSeccompArg, skip uint8) ([]bpf.Instruction, error) {
	low, high := uint32(a.Value), uint32(a.Value>>32)
	loadLow := bpf.LoadAbsolute{Off: offArgs + 8*uint32(a.Index), Size: 4}
	loadHigh := bpf.LoadAbsolute{Off: offArgs + 8*uint32(a.Index) + 4, Size: 4}
	eq := func(v uint32, no uint8) bpf.Instruction {
		return bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipFalse: no}
	}
	switch a.Op {
	case specs.OpEqualTo:
		return []bpf.Instruction{loadHigh, eq(high, skip+2), loadLow, eq(low, skip)}, nil
	case specs.OpNotEqual:
		return []bpf.Instruction{loadHigh, bpf.JumpIf{Cond: bpf.JumpEqual, Val: high, SkipFalse: 2}, loadLow, bpf.JumpIf{Cond: bpf.JumpEqual, Val: low, SkipTrue: skip}}, nil
	case specs.OpMaskedEqual:
		low2, high2 := uint32(a.ValueTwo), uint32(a.ValueTwo>>32)
		return []bpf.Instruction{
			loadHigh,
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: high},
			eq(high2&high, skip+3),
			loadLow,
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: low},
			eq(low2&low, skip),
		}, nil
	case specs.OpGreaterEqual, specs.OpGreaterThan:
		cond := bpf.JumpGreaterOrEqual
		if a.Op == specs.OpGreaterThan {
			cond = bpf.JumpGreaterThan
		}
		return []bpf.Instruction{
			loadHigh,
			bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: high, SkipTrue: 3},
			eq(high, skip+2), loadLow,
			bpf.JumpIf{Cond: cond, Val: low, SkipFalse: skip},
		}, nil
	case specs.OpLessEqual, specs.OpLessThan:
		cond := bpf.JumpGreaterThan
		if a.Op == specs.OpLessThan {
			cond = bpf.JumpGreaterOrEqual
		}
		return []bpf.Instruction{
			loadHigh,
			bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: high, SkipTrue: skip + 3},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: high, SkipFalse: 2},
			loadLow,
			bpf.JumpIf{Cond: cond, Val: low, SkipTrue: skip},
		}, nil
	}
	return nil, fmt.Errorf("seccomp: unknown comparison %q", a.Op)
}

// Flags are the flags for seccomp(2). A profile that says nothing does not ask
// for mitigations against speculation, which cost the program dear: as in runc.
func Flags(profile *specs.LinuxSeccomp) (uintptr, error) {
	if profile.Flags == nil {
		return unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, nil
	}
	var flags uintptr
	for _, f := range profile.Flags {
		switch f {
		case specs.LinuxSeccompFlagLog:
			flags |= unix.SECCOMP_FILTER_FLAG_LOG
		case specs.LinuxSeccompFlagSpecAllow:
			flags |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		case "SECCOMP_FILTER_FLAG_TSYNC": // there is one thread
		default:
			return 0, fmt.Errorf("seccomp: the flag %q is not supported", f)
		}
	}
	return flags, nil
}

func action(a specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	code := uint32(unix.EPERM)
	if errno != nil {
		code = uint32(*errno)
	}
	switch a {
	case specs.ActKill, specs.ActKillThread:
		return unix.SECCOMP_RET_KILL_THREAD, nil
	case specs.ActKillProcess:
		return unix.SECCOMP_RET_KILL_PROCESS, nil
	case specs.ActTrap:
		return unix.SECCOMP_RET_TRAP, nil
	case specs.ActErrno:
		return unix.SECCOMP_RET_ERRNO | code&unix.SECCOMP_RET_DATA, nil
	case specs.ActTrace:
		return unix.SECCOMP_RET_TRACE | code&unix.SECCOMP_RET_DATA, nil
	case specs.ActAllow:
		return unix.SECCOMP_RET_ALLOW, nil
	case specs.ActLog:
		return unix.SECCOMP_RET_LOG, nil
	}
	return 0, fmt.Errorf("seccomp: the action %q is not supported", a)
}
