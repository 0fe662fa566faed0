package seccomp

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

// The kernel's system call numbers, "name number" a line, made from the
// constants of golang.org/x/sys/unix. Text, because it costs nothing at start-up.
var (
	//go:embed syscalls_x86_64.txt
	textX8664 string
	//go:embed syscalls_x86.txt
	textX86 string
	//go:embed syscalls_aarch64.txt
	textAArch64 string
	//go:embed syscalls_arm.txt
	textARM string
)

// abi is one of the ways to call a kernel, told apart by AUDIT_ARCH_*.
type abi struct {
	audit   uint32
	numbers func() map[string]uint32
}

// abis holds, by Go's name of the architecture, the native ABI first and the
// 32-bit one that the same processor runs.
var abis = map[string][]abi{
	"amd64": {{0xc000003e, sync.OnceValue(func() map[string]uint32 { return parse(textX8664) })}, {0x40000003, sync.OnceValue(func() map[string]uint32 { return parse(textX86) })}},
	"arm64": {{0xc00000b7, sync.OnceValue(func() map[string]uint32 { return parse(textAArch64) })}, {0x40000028, sync.OnceValue(func() map[string]uint32 { return parse(textARM) })}},
}

func parse(text string) map[string]uint32 {
	numbers := make(map[string]uint32, 480)
	for line := range strings.Lines(text) {
		name, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseUint(number, 10, 32); err == nil {
			numbers[name] = uint32(n)
		}
	}
	return numbers
}
