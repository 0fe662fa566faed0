#include "textflag.h"

// func rawVfork(args *cloneArgs, p *program) int
//
// The child borrows this stack and the parent's memory until it runs its
// program. It must not return: it would pull the frames away that the parent,
// which is halted meanwhile, still needs.
TEXT ·rawVfork(SB), NOSPLIT, $16-24
	MOVQ args+0(FP), DI
	MOVQ $88, SI
	MOVQ $435, AX // clone3
	SYSCALL
	TESTQ AX, AX
	JEQ  child
	MOVQ AX, ret+16(FP)
	RET
child:
	MOVQ p+8(FP), AX
	MOVQ AX, 0(SP)
	CALL ·runProgram(SB)
	INT  $3
