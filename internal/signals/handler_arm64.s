#include "textflag.h"

// See handler_amd64.s. The registers are the kernel's to restore, but for the
// one that says where to return to.
TEXT handler<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	SUB  $16, RSP
	MOVD R0, 0(RSP) // the signal; its lowest byte comes first
	MOVW ·tell(SB), R0
	MOVD RSP, R1
	MOVD $1, R2
	MOVD $64, R8 // write
	SVC
	ADD  $16, RSP
	RET

TEXT restorer<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVD $139, R8 // rt_sigreturn
	SVC
	BRK

// func addresses() (handler, restorer uintptr)
TEXT ·addresses(SB), NOSPLIT, $0-16
	MOVD $handler<>(SB), R0
	MOVD R0, handler+0(FP)
	MOVD $restorer<>(SB), R0
	MOVD R0, restorer+8(FP)
	RET
