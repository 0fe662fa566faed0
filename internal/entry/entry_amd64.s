#include "textflag.h"

// Written before there is a runtime: numbers, which that leaves alone.
GLOBL pair<>(SB), NOPTR, $8 // the ends of a keeper's link
GLOBL wait<>(SB), NOPTR, $16 // two struct pollfd
GLOBL end<>(SB), NOPTR, $128 // siginfo_t
GLOBL action<>(SB), NOPTR, $32 // struct sigaction, the kernel's

// entry is the binary's entry point.
//
// Where the process is an init that only makes room for the container's program
// (initproc.InPlace), it does so here. What is no such init, or whose program
// does not run, goes on, and initproc finds out why. A keeper forks, see
// Supervisor.
//
// What goes on has its table of descriptors made large before: growing it with
// a second thread about means waiting for an RCU grace period, 10 ms or more, at
// the 65th file and again at each doubling. The table never shrinks.
//
// It is also woken a little later from its sleeps, see package timerslack.
//
// And it has the binary in its page tables, with three calls. A start runs through
// the initialisers of all packages and so through nearly all of the binary, which
// is hundreds of page faults; what a page fault costs, on a virtual machine above
// all, maps dozens of pages where they are asked for at once. Before Linux 5.14
// the kernel does not know how, and they come one by one. Where it has to read the
// binary first, it is to do so into pages as large as they come, which are mapped
// with an entry each, see scripts/place. Who lives on gives back
// what is not its own, see package resident. For its memory it has mmap.
//
// The kernel has left on the stack: argc, argv, 0, environ, 0.
TEXT ·entry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	CMPQ 0(SP), $2
	JLT  start
	MOVQ 8(SP), SI // argv[0]
	MOVQ $0x2d65736f706d6f63, AX // "compose-"
	CMPQ AX, 0(SI)
	JNE  start
	CMPL 8(SI), $0x7065656b // "keep", of keeper.Name
	JEQ  keeper
	CMPQ 0(SP), $4
	JLT  start
	CMPL 8(SI), $0x74696e69 // "init", of initproc.Name
	JNE  start
	CMPB 12(SI), $0
	JNE  start
	MOVQ 16(SP), SI // argv[1], the bytes of initproc.InPlace
	CMPW 0(SI), $0x2d // "-"
	JNE  start
	MOVQ 24(SP), DI // argv[2], the program's path
	LEAQ 32(SP), SI // its own argv
	MOVQ 0(SP), AX
	LEAQ 16(SP)(AX*8), DX // environ
	MOVQ $59, AX // execve
	SYSCALL
	JMP  start

keeper:
	CMPQ 0(SP), $2 // others take over from a supervisor
	JNE  start
	MOVQ $1, DI // SIGHUP
	CALL ·ignore(SB)
	MOVQ $2, DI // SIGINT
	CALL ·ignore(SB)
	MOVQ $157, AX // prctl
	MOVQ $36, DI // PR_SET_CHILD_SUBREAPER
	MOVQ $1, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	SYSCALL
	MOVQ $53, AX // socketpair
	MOVQ $1, DI // AF_UNIX
	MOVQ $0x80005, SI // SOCK_SEQPACKET|SOCK_CLOEXEC
	LEAQ pair<>(SB), R10
	SYSCALL
	TESTQ AX, AX
	JNE  start
	MOVQ $290, AX // eventfd2
	XORL DI, DI
	MOVQ $0x80000, SI // EFD_CLOEXEC
	SYSCALL
	MOVQ AX, R12
	CMPQ R12, $6
	JNE  alone // something else is open
	MOVQ pair<>(SB), AX
	MOVQ $0x0000000500000004, DX
	CMPQ AX, DX
	JNE  alone
	MOVQ $56, AX // clone
	MOVQ $17, DI // SIGCHLD
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	SYSCALL
	TESTQ AX, AX
	JLT  alone
	JEQ  child
	MOVL AX, ·supervisor(SB)
	MOVQ $3, AX // close
	MOVQ $3, DI // the order's socket
	SYSCALL
	MOVQ $3, AX // close
	MOVQ $5, DI // the supervisor's end
	SYSCALL

	MOVL $4, wait<>+0(SB) // our end
	MOVW $1, wait<>+4(SB) // POLLIN
	MOVQ $271, AX // ppoll
	LEAQ wait<>(SB), DI
	MOVQ $1, SI
	XORL DX, DX // for ever
	XORL R10, R10
	SYSCALL
	XORL AX, AX // read, which has the title where others see it
	MOVQ $4, DI
	MOVQ 8(SP), SI
	MOVQ $1039, DX // titleSize
	SYSCALL
	TESTQ AX, AX
	JLE  leave // there was no order
	MOVQ $1, AX // write
	MOVQ $4, DI
	MOVQ 8(SP), SI
	MOVQ $14, DX // the name, keeper.Name, that it begins with
	SYSCALL
	MOVQ $434, AX // pidfd_open
	MOVLQSX ·supervisor(SB), DI
	XORL SI, SI
	SYSCALL
	TESTQ AX, AX
	JLT  start
	MOVL AX, wait<>+0(SB) // it is 3 by now; the link may be open in others, too
	MOVL $6, wait<>+8(SB) // the bell
	MOVW $1, wait<>+12(SB) // POLLIN
	MOVQ $271, AX // ppoll
	LEAQ wait<>(SB), DI
	MOVQ $2, SI
	XORL DX, DX
	XORL R10, R10
	SYSCALL
	TESTQ AX, AX
	JLE  start
	CMPW wait<>+14(SB), $0
	JNE  start
	MOVQ $247, AX // waitid
	MOVQ $1, DI // P_PID
	MOVLQSX ·supervisor(SB), SI
	LEAQ end<>(SB), DX
	MOVQ $0x1000004, R10 // WEXITED|WNOWAIT
	XORL R8, R8
	SYSCALL
	TESTQ AX, AX
	JNE  start
	CMPL end<>+8(SB), $1 // CLD_EXITED
	JNE  start
	CMPL end<>+24(SB), $0
	JNE  start
leave:
	MOVQ $231, AX // exit_group
	XORL DI, DI
	SYSCALL

alone: // the keeper does it by itself
	MOVQ $3, AX // close
	MOVQ R12, DI
	SYSCALL
	MOVQ $3, AX // close
	MOVLQSX pair<>(SB), DI
	SYSCALL
	MOVQ $3, AX // close
	MOVLQSX pair<>+4(SB), DI
	SYSCALL
	JMP  start

child:
	MOVQ $33, AX // dup2
	MOVQ $3, DI // the order's socket
	MOVQ $4, SI // keeper.tellFD
	SYSCALL
	MOVQ $33, AX // dup2
	MOVQ $5, DI
	MOVQ $3, SI // keeper.linkFD
	SYSCALL
	MOVQ $3, AX // close
	MOVQ $5, DI
	SYSCALL
	MOVL $6, ·bell(SB)
	MOVQ 8(SP), SI
	MOVQ $0x7369767265707573, AX // "supervis", of keeper.SupervisorName
	MOVQ AX, 8(SI)
	MOVW $0x726f, 16(SI) // "or"
	MOVB $0, 18(SI)
	ADDQ $19, SI // the room for a title that is left
	MOVQ SI, 16(SP)

start:
	MOVQ $157, AX // prctl
	MOVQ $29, DI // PR_SET_TIMERSLACK
	MOVQ $4000000, SI // as in package timerslack
	SYSCALL
	MOVQ $72, AX // fcntl
	XORL DI, DI
	MOVQ $1030, SI // F_DUPFD_CLOEXEC
	MOVQ $1023, DX // what the usual limit allows
	SYSCALL
	TESTQ AX, AX
	JLT  populate // it is closed, or the limit lower
	MOVQ AX, DI
	MOVQ $3, AX // close
	SYSCALL

populate:
	CMPL ·supervisor(SB), $0
	JNE  runtime // a keeper that wakes up is to be small, and has time
	MOVQ $28, AX // madvise
	MOVQ $runtime·text(SB), DI
	ANDQ $~4095, DI
	MOVQ $runtime·epclntab(SB), SI
	SUBQ DI, SI
	MOVQ $14, DX // MADV_HUGEPAGE
	SYSCALL
	MOVQ $28, AX // madvise
	MOVQ $22, DX // MADV_POPULATE_READ
	SYSCALL
	MOVQ $28, AX // madvise
	MOVQ $runtime·noptrdata(SB), DI
	ANDQ $~4095, DI
	MOVQ $runtime·ebss(SB), SI
	SUBQ DI, SI
	MOVQ $23, DX // MADV_POPULATE_WRITE
	SYSCALL
	LEAQ ·mmap(SB), AX
	MOVQ AX, _cgo_mmap(SB)
runtime:
	JMP  _rt0_amd64_linux(SB)

// ignore ignores the signal DI.
TEXT ·ignore(SB), NOSPLIT|NOFRAME, $0
	MOVQ $1, action<>(SB) // SIG_IGN
	MOVQ $13, AX // rt_sigaction
	LEAQ action<>(SB), SI
	XORL DX, DX
	MOVQ $8, R10
	SYSCALL
	RET

// mmap is what the runtime gets its memory with: it would call C's mmap that way,
// for tools that want to know of all memory, if there was any C. This one has the
// kernel map at once what the runtime is sure to use: its own small tables, and of
// the heap's first part, which is as large as here and no other, as much as there
// is in use before the first function of ours runs, in a huge page if it has one. It
// takes
//
//	addr DI, n SI uintptr, prot DX, flags CX, fd R8, offset R9 int32
//
// and returns an address or, below 4096, an errno in AX.
TEXT ·mmap(SB), NOSPLIT|NOFRAME, $0
	MOVL CX, R10
	CMPL DX, $3 // PROT_READ|PROT_WRITE
	JNE  map
	CMPQ SI, $(256<<10)
	JHI  map
	ORL  $0x8000, R10 // MAP_POPULATE
map:
	MOVQ $9, AX // mmap
	SYSCALL
	CMPQ AX, $0xfffffffffffff001
	JCC  failed
	CMPL DX, $3
	JNE  mapped
	CMPQ SI, $(4<<20)
	JNE  mapped
	MOVQ AX, R8
	MOVQ AX, DI
	MOVQ $(2<<20), SI
	MOVQ $14, DX // MADV_HUGEPAGE
	MOVQ $28, AX // madvise
	SYSCALL
	MOVQ R8, DI
	MOVQ $(5<<19), SI
	MOVQ $23, DX // MADV_POPULATE_WRITE
	MOVQ $28, AX // madvise
	SYSCALL
	MOVQ R8, AX
mapped:
	RET
failed:
	NEGQ AX
	RET
