// Package signals catches the signals that are to be passed on to another
// process.
package signals

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// usual are the signals that programs are sent from outside, and that of a
// child's end.
var usual = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
	syscall.SIGTERM, syscall.SIGCONT, syscall.SIGWINCH, syscall.SIGCHLD,
}

// Catch has all signals sent to c: the usual ones when it returns, the others a
// moment later. The Go runtime changes threads four times for each signal that
// it is to catch. For all 64 that takes as long as making a container, and for
// one that ends at once it would be in vain.
func Catch(c chan<- os.Signal) {
	signal.Notify(c, usual...)
	time.AfterFunc(10*time.Millisecond, func() { signal.Notify(c) })
}
