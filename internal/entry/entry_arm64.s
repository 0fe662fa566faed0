#include "textflag.h"

GLOBL pair<>(SB), NOPTR, $8
GLOBL wait<>(SB), NOPTR, $16
GLOBL end<>(SB), NOPTR, $128
GLOBL action<>(SB), NOPTR, $32

// See entry_amd64.s.
TEXT ·entry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVD 0(RSP), R9
	CMP  $2, R9
	BLT  start
	MOVD 8(RSP), R1 // argv[0]
	MOVD 0(R1), R2
	MOVD $0x2d65736f706d6f63, R3 // "compose-"
	CMP  R3, R2
	BNE  start
	MOVWU 8(R1), R2
	MOVD $0x7065656b, R3 // "keep", of keeper.Name
	CMP  R3, R2
	BEQ  keeper
	CMP  $4, R9
	BLT  start
	MOVD $0x74696e69, R3 // "init", of initproc.Name
	CMP  R3, R2
	BNE  start
	MOVBU 12(R1), R2
	CBNZ R2, start
	MOVD 16(RSP), R1 // argv[1], the bytes of initproc.InPlace
	MOVHU 0(R1), R2
	CMP  $0x2d, R2 // "-"
	BNE  start
	MOVD 24(RSP), R0 // argv[2], the program's path
	ADD  $32, RSP, R1 // its own argv
	ADD  R9<<3, R1, R2
	SUB  $16, R2, R2 // environ
	MOVD $221, R8 // execve
	SVC
	B    start

keeper:
	CMP  $2, R9 // others take over from a supervisor
	BNE  start
	MOVD $1, R0 // SIGHUP
	BL   ·ignore(SB)
	MOVD $2, R0 // SIGINT
	BL   ·ignore(SB)
	MOVD $36, R0 // PR_SET_CHILD_SUBREAPER
	MOVD $1, R1
	MOVD $0, R2
	MOVD $0, R3
	MOVD $0, R4
	MOVD $167, R8 // prctl
	SVC
	MOVD $1, R0 // AF_UNIX
	MOVD $0x80005, R1 // SOCK_SEQPACKET|SOCK_CLOEXEC
	MOVD $0, R2
	MOVD $pair<>(SB), R3
	MOVD $199, R8 // socketpair
	SVC
	CBNZ R0, start
	MOVD $0, R0
	MOVD $0x80000, R1 // EFD_CLOEXEC
	MOVD $19, R8 // eventfd2
	SVC
	MOVD R0, R10
	CMP  $6, R10
	BNE  alone // something else is open
	MOVD pair<>(SB), R1
	MOVD $0x0000000500000004, R2
	CMP  R2, R1
	BNE  alone
	MOVD $17, R0 // SIGCHLD
	MOVD $0, R1
	MOVD $0, R2
	MOVD $0, R3
	MOVD $0, R4
	MOVD $220, R8 // clone
	SVC
	TBNZ $63, R0, alone
	CBZ  R0, child
	MOVW R0, ·supervisor(SB)
	MOVD $3, R0 // the order's socket
	MOVD $57, R8 // close
	SVC
	MOVD $5, R0 // the supervisor's end
	MOVD $57, R8 // close
	SVC

	MOVD $4, R1 // our end
	MOVW R1, wait<>+0(SB)
	MOVD $1, R1
	MOVH R1, wait<>+4(SB) // POLLIN
	MOVD $wait<>(SB), R0
	MOVD $1, R1
	MOVD $0, R2 // for ever
	MOVD $0, R3
	MOVD $73, R8 // ppoll
	SVC
	MOVD $4, R0
	MOVD 8(RSP), R1
	MOVD $1039, R2 // titleSize
	MOVD $63, R8 // read, which has the title where others see it
	SVC
	CMP  $0, R0
	BLE  leave // there was no order
	MOVD $4, R0
	MOVD 8(RSP), R1
	MOVD $14, R2 // the name, keeper.Name, that it begins with
	MOVD $64, R8 // write
	SVC
	MOVW ·supervisor(SB), R0
	MOVD $0, R1
	MOVD $434, R8 // pidfd_open
	SVC
	TBNZ $63, R0, start
	MOVW R0, wait<>+0(SB) // it is 3 by now; the link may be open in others, too
	MOVD $6, R1 // the bell
	MOVW R1, wait<>+8(SB)
	MOVD $1, R1
	MOVH R1, wait<>+12(SB) // POLLIN
	MOVD $wait<>(SB), R0
	MOVD $2, R1
	MOVD $0, R2
	MOVD $0, R3
	MOVD $73, R8 // ppoll
	SVC
	CMP  $0, R0
	BLE  start
	MOVHU wait<>+14(SB), R1
	CBNZ R1, start
	MOVD $1, R0 // P_PID
	MOVW ·supervisor(SB), R1
	MOVD $end<>(SB), R2
	MOVD $0x1000004, R3 // WEXITED|WNOWAIT
	MOVD $0, R4
	MOVD $95, R8 // waitid
	SVC
	CBNZ R0, start
	MOVW end<>+8(SB), R1
	CMPW $1, R1 // CLD_EXITED
	BNE  start
	MOVW end<>+24(SB), R1
	CBNZW R1, start
leave:
	MOVD $0, R0
	MOVD $94, R8 // exit_group
	SVC

alone: // the keeper does it by itself
	MOVD R10, R0
	MOVD $57, R8 // close
	SVC
	MOVW pair<>(SB), R0
	MOVD $57, R8 // close
	SVC
	MOVW pair<>+4(SB), R0
	MOVD $57, R8 // close
	SVC
	B    start

child:
	MOVD $3, R0 // the order's socket
	MOVD $4, R1 // keeper.tellFD
	MOVD $0, R2
	MOVD $24, R8 // dup3
	SVC
	MOVD $5, R0
	MOVD $3, R1 // keeper.linkFD
	MOVD $0, R2
	MOVD $24, R8 // dup3
	SVC
	MOVD $5, R0
	MOVD $57, R8 // close
	SVC
	MOVD $6, R1
	MOVW R1, ·bell(SB)
	MOVD 8(RSP), R1
	MOVD $0x7369767265707573, R2 // "supervis", of keeper.SupervisorName
	MOVD R2, 8(R1)
	MOVD $0x726f, R2 // "or"
	MOVH R2, 16(R1)
	MOVB ZR, 18(R1)
	ADD  $19, R1 // the room for a title that is left
	MOVD R1, 16(RSP)

start:
	MOVD $29, R0 // PR_SET_TIMERSLACK
	MOVD $4000000, R1 // as in package timerslack
	MOVD $167, R8 // prctl
	SVC
	MOVD $0, R0
	MOVD $1030, R1 // F_DUPFD_CLOEXEC
	MOVD $1023, R2 // what the usual limit allows
	MOVD $25, R8 // fcntl
	SVC
	TBNZ $63, R0, populate // it is closed, or the limit lower
	MOVD $57, R8 // close
	SVC

populate:
	MOVW ·supervisor(SB), R0
	CBNZW R0, runtime // a keeper that wakes up is to be small, and has time
	MOVD $runtime·text(SB), R0
	AND  $~4095, R0
	MOVD $runtime·epclntab(SB), R1
	SUB  R0, R1
	MOVD R0, R9
	MOVD $14, R2 // MADV_HUGEPAGE
	MOVD $233, R8 // madvise
	SVC
	MOVD R9, R0
	MOVD $22, R2 // MADV_POPULATE_READ
	SVC
	MOVD $runtime·noptrdata(SB), R0
	AND  $~4095, R0
	MOVD $runtime·ebss(SB), R1
	SUB  R0, R1
	MOVD $23, R2 // MADV_POPULATE_WRITE
	MOVD $233, R8 // madvise
	SVC
	MOVD $·mmap(SB), R1
	MOVD R1, _cgo_mmap(SB)
runtime:
	B _rt0_arm64_linux(SB)

// ignore ignores the signal R0.
TEXT ·ignore(SB), NOSPLIT|NOFRAME, $0
	MOVD $1, R1 // SIG_IGN
	MOVD R1, action<>(SB)
	MOVD $action<>(SB), R1
	MOVD $0, R2
	MOVD $8, R3
	MOVD $134, R8 // rt_sigaction
	SVC
	RET

// See entry_amd64.s. It takes
//
//	addr R0, n R1 uintptr, prot R2, flags R3, fd R4, offset R5 int32
//
// and returns in R0.
TEXT ·mmap(SB), NOSPLIT|NOFRAME, $0
	MOVD R1, R6
	MOVD R2, R7
	CMPW $3, R7 // PROT_READ|PROT_WRITE
	BNE  map
	CMP  $(256<<10), R6
	BHI  map
	ORR  $0x8000, R3 // MAP_POPULATE
map:
	MOVD $222, R8 // mmap
	SVC
	CMN  $4095, R0
	BCS  failed
	CMPW $3, R7
	BNE  mapped
	CMP  $(4<<20), R6
	BNE  mapped
	MOVD R0, R6
	MOVD $(2<<20), R1
	MOVD $14, R2 // MADV_HUGEPAGE
	MOVD $233, R8 // madvise
	SVC
	MOVD R6, R0
	MOVD $(5<<19), R1
	MOVD $23, R2 // MADV_POPULATE_WRITE
	SVC
	MOVD R6, R0
mapped:
	RET
failed:
	NEG  R0, R0
	RET
