package cgroup

import (
	"encoding/binary"
	"fmt"
	slashpath "path" // path/filepath initialises after the heavy libraries
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// allowDevices lets the group at the devices of the rules and at no other. The
// last rule that fits a device decides.
func allowDevices(h *hierarchies, path string, rules []specs.LinuxDeviceCgroup) error {
	if len(rules) == 0 {
		return nil
	}
	if h.pure() {
		return attachDeviceFilter(h.dir("devices", path), rules)
	}
	dir := h.dir("devices", path)
	if dir == "" {
		return fmt.Errorf("this host has no devices cgroup")
	}
	files := map[bool]int{}
	for _, r := range rules {
		file := "devices.deny"
		if r.Allow {
			file = "devices.allow"
		}
		fd, ok := files[r.Allow]
		if !ok {
			var err error
			if fd, err = unix.Open(slashpath.Join(dir, file), unix.O_WRONLY|unix.O_CLOEXEC, 0); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			defer unix.Close(fd)
			files[r.Allow] = fd
		}
		if _, err := unix.Write(fd, []byte(deviceLine(r))); err != nil { // one rule each
			return fmt.Errorf("write %q to %s: %w", deviceLine(r), file, err)
		}
	}
	return nil
}

func deviceLine(r specs.LinuxDeviceCgroup) string {
	kind := r.Type
	if kind == "" {
		kind = "a"
	}
	access := r.Access
	if access == "" {
		access = "rwm"
	}
	return fmt.Sprintf("%s %s:%s %s", kind, wildcard(r.Major), wildcard(r.Minor), access)
}

func wildcard(n *int64) string {
	if n == nil || *n < 0 {
		return "*"
	}
	return fmt.Sprint(*n)
}

// insn is struct bpf_insn of the extended instruction set.
type insn struct {
	code uint8
	regs uint8 // destination in the low half, source in the high
	off  int16
	imm  int32
}

// Codes of the few instructions that a device filter takes (linux/bpf.h).
const (
	bpfLoadWord   = 0x61 // dst = *(u32 *)(src + off)
	bpfMove       = 0xbf // dst = src
	bpfMoveImm    = 0xb7
	bpfAndImm     = 0x57
	bpfRightImm   = 0x77 // dst >>= imm
	bpfJumpNotImm = 0x55
	bpfExit       = 0x95
)

// deviceFilter compiles the rules, the last one first, into a program of type
// BPF_PROG_TYPE_CGROUP_DEVICE. It returns 1 for allowed and 0 for refused.
func deviceFilter(rules []specs.LinuxDeviceCgroup) ([]insn, error) {
	// r1 points to { u32 access_type; u32 major; u32 minor }, where access_type
	// has the access (mknod 1, read 2, write 4) above its 16 bits of type.
	program := []insn{
		{code: bpfLoadWord, regs: 2 | 1<<4, off: 0},
		{code: bpfMove, regs: 3 | 2<<4},
		{code: bpfAndImm, regs: 2, imm: 0xffff}, // r2: type, block 1 or character 2
		{code: bpfRightImm, regs: 3, imm: 16},   // r3: access
		{code: bpfLoadWord, regs: 4 | 1<<4, off: 4},
		{code: bpfLoadWord, regs: 5 | 1<<4, off: 8},
	}
	for i := len(rules) - 1; i >= 0; i-- {
		block, err := deviceBlock(rules[i])
		if err != nil {
			return nil, err
		}
		program = append(program, block...)
		if block[0].code == bpfMoveImm {
			return program, nil // it fits everything; the kernel takes no code behind it
		}
	}
	return append(program, insn{code: bpfMoveImm, regs: 0}, insn{code: bpfExit}), nil
}

func deviceBlock(r specs.LinuxDeviceCgroup) ([]insn, error) {
	verdict := int32(0)
	if r.Allow {
		verdict = 1
	}
	tail := []insn{{code: bpfMoveImm, regs: 0, imm: verdict}, {code: bpfExit}}
	var tests []insn
	switch r.Type {
	case "b":
		tests = append(tests, insn{code: bpfJumpNotImm, regs: 2, imm: 1})
	case "c":
		tests = append(tests, insn{code: bpfJumpNotImm, regs: 2, imm: 2})
	case "a", "":
	default:
		return nil, fmt.Errorf("unknown device type %q", r.Type)
	}
	if access := accessMask(r.Access); access != 7 {
		// What is asked beyond the rule's access makes it not fit.
		tests = append(tests,
			insn{code: bpfMove, regs: 1 | 3<<4},
			insn{code: bpfAndImm, regs: 1, imm: 7 &^ access},
			insn{code: bpfJumpNotImm, regs: 1, imm: 0})
	}
	if r.Major != nil && *r.Major >= 0 {
		tests = append(tests, insn{code: bpfJumpNotImm, regs: 4, imm: int32(*r.Major)})
	}
	if r.Minor != nil && *r.Minor >= 0 {
		tests = append(tests, insn{code: bpfJumpNotImm, regs: 5, imm: int32(*r.Minor)})
	}
	block := append(tests, tail...)
	for i := range tests {
		if block[i].code == bpfJumpNotImm {
			block[i].off = int16(len(block) - i - 1)
		}
	}
	return block, nil
}

func accessMask(access string) int32 {
	if access == "" {
		return 7
	}
	var mask int32
	for _, a := range access {
		mask |= map[rune]int32{'m': 1, 'r': 2, 'w': 4}[a]
	}
	return mask
}

// filters holds one loaded program for each set of rules; containers with the
// same rules, which is nearly all, share it.
var filters struct {
	sync.Mutex
	fds map[string]int
}

func attachDeviceFilter(dir string, rules []specs.LinuxDeviceCgroup) error {
	var key strings.Builder
	for _, r := range rules {
		fmt.Fprintln(&key, r.Allow, deviceLine(r))
	}
	filters.Lock()
	defer filters.Unlock()
	fd, ok := filters.fds[key.String()]
	if !ok {
		program, err := deviceFilter(rules)
		if err != nil {
			return err
		}
		if fd, err = loadFilter(program); err != nil {
			return fmt.Errorf("load the device filter: %w", err)
		}
		if filters.fds == nil {
			filters.fds = map[string]int{}
		}
		filters.fds[key.String()] = fd
	}
	group, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(group)
	attr := struct{ target, program, kind, flags uint32 }{uint32(group), uint32(fd), unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_MULTI}
	if _, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return fmt.Errorf("attach the device filter: %w", err)
	}
	return nil
}

func loadFilter(program []insn) (int, error) {
	code := make([]byte, 0, len(program)*8)
	for _, i := range program {
		code = append(code, i.code, i.regs)
		code = binary.NativeEndian.AppendUint16(code, uint16(i.off))
		code = binary.NativeEndian.AppendUint32(code, uint32(i.imm))
	}
	license := append([]byte("Apache-2.0"), 0)
	attr := struct {
		kind, count       uint32
		insns, license    uint64
		logLevel, logSize uint32
		logBuf            uint64
		kernel, flags     uint32
	}{
		kind: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: uint32(len(program)),
		insns: uint64(uintptr(unsafe.Pointer(&code[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0]))),
	}
	return bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
}

func bpf(cmd int, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		r, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(attr), size)
		if errno == unix.EAGAIN || errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return -1, errno
		}
		return int(r), nil
	}
}
