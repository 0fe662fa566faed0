#include "textflag.h"

// The handler is called by the kernel, on any thread at any instruction: it
// makes one system call and leaves everything else as it is.
TEXT handler<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	SUBQ $8, SP
	MOVQ DI, 0(SP) // the signal; its lowest byte comes first
	MOVL ·tell(SB), DI
	MOVQ SP, SI
	MOVQ $1, DX
	MOVQ $1, AX // write
	SYSCALL
	ADDQ $8, SP
	RET

TEXT restorer<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVQ $15, AX // rt_sigreturn
	SYSCALL
	INT  $3

// func addresses() (handler, restorer uintptr)
TEXT ·addresses(SB), NOSPLIT, $0-16
	MOVQ $handler<>(SB), AX
	MOVQ AX, handler+0(FP)
	MOVQ $restorer<>(SB), AX
	MOVQ AX, restorer+8(FP)
	RET
