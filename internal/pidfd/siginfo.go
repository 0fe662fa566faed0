package pidfd

import "syscall"

// siginfo is the kernel's siginfo_t as waitid(2) fills it, on 64-bit machines.
type siginfo struct {
	signo, errno, code int32
	_                  int32
	pid, uid, status   int32
	_                  [100]byte
}

// The values of si_code.
const (
	exited = 1
	dumped = 3
)

// waitStatus is the same as wait4(2) would have put it.
func (s *siginfo) waitStatus() syscall.WaitStatus {
	switch s.code {
	case exited:
		return syscall.WaitStatus(s.status << 8)
	case dumped:
		return syscall.WaitStatus(s.status | 0x80)
	default:
		return syscall.WaitStatus(s.status)
	}
}
