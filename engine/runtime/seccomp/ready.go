package seccomp

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"runtime"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// The profile that nearly all containers have, compiled: each supervisor would
// spend a millisecond on it. A file is the profile's fingerprint and then the
// instructions, of 8 bytes, little endian.
//
//go:generate go test -run ^TestReady$ -update .
//go:embed ready_*.bpf
var readyFiles embed.FS

// Ready is what Compile makes of a profile, if that has been done before this
// was built.
func Ready(profile *specs.LinuxSeccomp) (program []unix.SockFilter, ok bool) {
	data, err := readyFiles.ReadFile("ready_" + runtime.GOARCH + ".bpf")
	if err != nil {
		return nil, false
	}
	of := fingerprint(profile)
	code, ok := bytes.CutPrefix(data, of[:])
	return decode(code), ok
}

func decode(data []byte) []unix.SockFilter {
	program := make([]unix.SockFilter, len(data)/8)
	for i := range program {
		at := data[i*8:]
		program[i] = unix.SockFilter{Code: binary.LittleEndian.Uint16(at), Jt: at[2], Jf: at[3], K: binary.LittleEndian.Uint32(at[4:])}
	}
	return program
}

// fingerprint tells one profile from any other that Compile makes another
// program of.
func fingerprint(profile *specs.LinuxSeccomp) [sha256.Size]byte {
	text := make([]byte, 0, 16<<10)
	number := func(n uint64) { text = binary.AppendUvarint(text, n) }
	word := func(s string) {
		number(uint64(len(s)))
		text = append(text, s...)
	}
	errno := func(n *uint) {
		if n == nil {
			number(0)
			return
		}
		number(1)
		number(uint64(*n))
	}
	word(string(profile.DefaultAction))
	errno(profile.DefaultErrnoRet)
	number(uint64(len(profile.Architectures)))
	for _, a := range profile.Architectures {
		word(string(a))
	}
	number(uint64(len(profile.Syscalls)))
	for _, s := range profile.Syscalls {
		word(string(s.Action))
		errno(s.ErrnoRet)
		number(uint64(len(s.Names)))
		for _, name := range s.Names {
			word(name)
		}
		number(uint64(len(s.Args)))
		for _, a := range s.Args {
			number(uint64(a.Index))
			number(a.Value)
			number(a.ValueTwo)
			word(string(a.Op))
		}
	}
	return sha256.Sum256(text)
}
