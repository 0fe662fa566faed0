package runtime

import (
	"sync"

	"golang.org/x/sys/unix"

	"compose/engine/runtime/seccomp"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// filter adds what loads the profile; nil is unconfined.
func (p *program) filter(profile *specs.LinuxSeccomp) error {
	if profile == nil {
		return nil
	}
	code, err := compiled(profile)
	if err != nil {
		return err
	}
	p.keep = append(p.keep, code)
	prog := ptr(p, []unix.SockFprog{{Len: uint16(len(code)), Filter: &code[0]}})
	flags, err := seccomp.Flags(profile)
	if err != nil {
		return err
	}
	p.add("load the seccomp filter", must, unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, prog)
	return nil
}

// shared holds the profiles that DefaultSeccomp hands out, which nearly all
// containers use, so that each is compiled once.
var shared sync.Map // *specs.LinuxSeccomp -> func() ([]unix.SockFilter, error)

func compiled(profile *specs.LinuxSeccomp) ([]unix.SockFilter, error) {
	if once, ok := shared.Load(profile); ok {
		return once.(func() ([]unix.SockFilter, error))()
	}
	return seccomp.Compile(profile)
}
