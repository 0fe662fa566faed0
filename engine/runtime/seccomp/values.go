package seccomp

import (
	"slices"

	"golang.org/x/net/bpf"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// compileValues compiles the rules of one call where they list values of one
// argument with one verdict, as moby's profile does for socket and
// personality: a search tree over the values instead of a chain of tests. ok
// is false where the rules are not of that kind.
func compileValues(rules []specs.LinuxSyscall, fallback uint32) (code []bpf.Instruction, ok bool, err error) {
	if len(rules) < 2 {
		return nil, false, nil
	}
	allowed := map[uint32]bool{} // value -> listed
	var edges []uint32           // where it may change
	for _, r := range rules {
		if len(r.Args) != 1 || r.Action != rules[0].Action || !sameErrno(r.ErrnoRet, rules[0].ErrnoRet) || r.Args[0].Index != rules[0].Args[0].Index {
			return nil, false, nil
		}
		a := r.Args[0]
		if a.Value >= 1<<32-1 {
			if a.Op == specs.OpEqualTo && a.Value == 1<<32-1 {
				allowed[1<<32-1] = true
				edges = append(edges, 1<<32-1)
				continue
			}
			return nil, false, nil
		}
		v := uint32(a.Value)
		switch {
		case a.Op == specs.OpEqualTo:
			allowed[v] = true
			edges = append(edges, v, v+1)
		case a.Op == specs.OpLessThan && v <= 256:
			for n := range v {
				allowed[n] = true
				edges = append(edges, n, n+1)
			}
		default:
			return nil, false, nil
		}
	}
	verdict, err := action(rules[0].Action, rules[0].ErrnoRet)
	if err != nil {
		return nil, false, err
	}
	slices.Sort(edges)
	leaves := []leaf{{first: 0, code: []bpf.Instruction{bpf.RetConstant{Val: fallback}}}}
	if allowed[0] {
		leaves[0].code = []bpf.Instruction{bpf.RetConstant{Val: verdict}}
	}
	for _, e := range slices.Compact(edges) {
		ret := bpf.RetConstant{Val: fallback}
		if allowed[e] {
			ret.Val = verdict
		}
		if leaves[len(leaves)-1].code[0] != bpf.Instruction(ret) {
			leaves = append(leaves, leaf{first: e, code: []bpf.Instruction{ret}})
		}
	}
	index := uint32(rules[0].Args[0].Index)
	return append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: offArgs + 8*index + 4, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1},
		bpf.RetConstant{Val: fallback}, // more than 32 bits
		bpf.LoadAbsolute{Off: offArgs + 8*index, Size: 4},
	}, search(leaves)...), true, nil
}

func sameErrno(a, b *uint) bool { return a == b || a != nil && b != nil && *a == *b }
