#include "textflag.h"

// The binary's entry point (the linker is told so by -E, see the Makefile).
//
// Where the process is an init that only makes room for the container's
// program, it does so here, before there is a Go runtime to start: that takes
// longer than all the rest. What is no such init, or whose program does not
// run, goes on to Go's own entry point, and become finds out why.
//
// What goes on has its table of descriptors made large before: growing it with
// a second thread about means waiting for an RCU grace period, 10 ms or more, at
// the 65th file and again at each doubling. The table never shrinks.
//
// It is also woken a little later from its sleeps, see package timerslack.
//
// The kernel has left on the stack: argc, argv, 0, environ, 0.
TEXT ·entry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	CMPQ 0(SP), $4
	JLT  start
	MOVQ 8(SP), SI // argv[0], the bytes of Name
	MOVQ $0x2d65736f706d6f63, AX // "compose-"
	CMPQ AX, 0(SI)
	JNE  start
	CMPL 8(SI), $0x74696e69 // "init"
	JNE  start
	CMPB 12(SI), $0
	JNE  start
	MOVQ 16(SP), SI // argv[1], the bytes of InPlace
	CMPW 0(SI), $0x2d // "-"
	JNE  start
	MOVQ 24(SP), DI // argv[2], the program's path
	LEAQ 32(SP), SI // its own argv
	MOVQ 0(SP), AX
	LEAQ 16(SP)(AX*8), DX // environ
	MOVQ $59, AX // execve
	SYSCALL
start:
	MOVQ $157, AX // prctl
	MOVQ $29, DI // PR_SET_TIMERSLACK
	MOVQ $200000, SI // as in package timerslack
	SYSCALL
	MOVQ $72, AX // fcntl
	XORL DI, DI
	MOVQ $1030, SI // F_DUPFD_CLOEXEC
	MOVQ $1023, DX // what the usual limit allows
	SYSCALL
	TESTQ AX, AX
	JLT  runtime // it is closed, or the limit lower
	MOVQ AX, DI
	MOVQ $3, AX // close
	SYSCALL
runtime:
	JMP  _rt0_amd64_linux(SB)
