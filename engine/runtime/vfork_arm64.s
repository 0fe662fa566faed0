#include "textflag.h"

// func rawVfork(args *cloneArgs, p *program) int
//
// See vfork_amd64.s.
TEXT ·rawVfork(SB), NOSPLIT, $16-24
	MOVD args+0(FP), R0
	MOVD $88, R1
	MOVD $435, R8 // clone3
	SVC
	CBZ  R0, child
	MOVD R0, ret+16(FP)
	RET
child:
	MOVD p+8(FP), R0
	MOVD R0, 8(RSP)
	CALL ·runProgram(SB)
	BRK
