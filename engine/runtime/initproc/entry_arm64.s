#include "textflag.h"

// See entry_amd64.s.
TEXT ·entry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVD 0(RSP), R9
	CMP  $4, R9
	BLT  start
	MOVD 8(RSP), R1 // argv[0], the bytes of Name
	MOVD 0(R1), R2
	MOVD $0x2d65736f706d6f63, R3 // "compose-"
	CMP  R3, R2
	BNE  start
	MOVWU 8(R1), R2
	MOVD $0x74696e69, R3 // "init"
	CMP  R3, R2
	BNE  start
	MOVBU 12(R1), R2
	CBNZ R2, start
	MOVD 16(RSP), R1 // argv[1], the bytes of InPlace
	MOVHU 0(R1), R2
	CMP  $0x2d, R2 // "-"
	BNE  start
	MOVD 24(RSP), R0 // argv[2], the program's path
	ADD  $32, RSP, R1 // its own argv
	ADD  R9<<3, R1, R2
	SUB  $16, R2, R2 // environ
	MOVD $221, R8 // execve
	SVC
start:
	MOVD $29, R0 // PR_SET_TIMERSLACK
	MOVD $200000, R1 // as in package timerslack
	MOVD $167, R8 // prctl
	SVC
	MOVD $0, R0
	MOVD $1030, R1 // F_DUPFD_CLOEXEC
	MOVD $1023, R2 // what the usual limit allows
	MOVD $25, R8 // fcntl
	SVC
	TBNZ $63, R0, runtime // it is closed, or the limit lower
	MOVD $57, R8 // close
	SVC
runtime:
	B _rt0_arm64_linux(SB)
