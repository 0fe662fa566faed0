#include "textflag.h"

// See far_amd64.s.
TEXT ·far(SB), 0, $16711680-8
	MOVD RSP, R0
	MOVD R0, ret+0(FP)
	RET
