// Package signals catches the signals that are to be passed on to another
// process.
package signals

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
	"unsafe"
)

// tell is where the handler writes the number of each signal, as one byte.
//
//lint:ignore U1000 the assembly uses it
var tell int32

// addresses are those of the handler and of what it returns to.
func addresses() (handler, restorer uintptr)

// action is the kernel's struct sigaction.
type action struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	onStack     = 0x08000000 // SA_ONSTACK: the one that the Go runtime has made for each thread
	restart     = 0x10000000 // SA_RESTART
	hasRestorer = 0x04000000 // SA_RESTORER
	highest     = 64
)

// runtimes are the signals that the Go runtime cannot do without: those of
// faults, and the one by which it interrupts its own threads.
var runtimes = []os.Signal{syscall.SIGILL, syscall.SIGTRAP, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSYS, syscall.SIGURG}

// Catch has signals sent to c, all where none are named: the runtime's own a moment
// later, the others when it returns. It takes them from whoever had them before, and
// nobody else may ask for them afterwards.
//
// Not by os/signal: the Go runtime changes threads four times for each signal
// that it is to catch, and for all 64 that takes as long as making a container.
// A handler of our own takes their place, which writes into a pipe.
func Catch(c chan<- os.Signal, some ...syscall.Signal) error {
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		return fmt.Errorf("catch the signals: %w", err)
	}
	tell = int32(pipe[1])
	all := len(some) == 0
	for sig := syscall.Signal(1); all && sig <= highest; sig++ {
		if sig != syscall.SIGKILL && sig != syscall.SIGSTOP && !ofRuntime(sig) {
			some = append(some, sig)
		}
	}
	own := action{flags: onStack | restart | hasRestorer, mask: 1<<highest - 1}
	own.handler, own.restorer = addresses()
	for _, sig := range some {
		if _, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&own)), 0, 8, 0, 0); errno != 0 {
			return fmt.Errorf("catch the signal %d: %w", sig, errno)
		}
	}
	go pass(os.NewFile(uintptr(pipe[0]), "signals"), c)
	if all {
		// For a program that ends at once they would be caught in vain.
		time.AfterFunc(10*time.Millisecond, func() { signal.Notify(c, runtimes...) })
	}
	return nil
}

func ofRuntime(sig syscall.Signal) bool { return slices.Contains(runtimes, os.Signal(sig)) }

func pass(from *os.File, c chan<- os.Signal) {
	for buf := make([]byte, 64); ; {
		n, err := from.Read(buf)
		if err != nil {
			return // there is always somebody to write
		}
		for _, sig := range buf[:n] {
			c <- syscall.Signal(sig)
		}
	}
}
