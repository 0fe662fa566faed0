#include "textflag.h"

// The binary's entry point (the linker is told so by -E, see the Makefile).
//
// Where the process is an init that only makes room for the container's
// program, it does so here, before there is a Go runtime to start: that takes
// longer than all the rest. What is no such init, or whose program does not
// run, goes on to Go's own entry point, and become finds out why.
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
	JMP  _rt0_amd64_linux(SB)
