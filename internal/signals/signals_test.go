package signals

import (
	"os"
	"syscall"
	"testing"
	"time"
)

func TestCatch(t *testing.T) {
	c := make(chan os.Signal, 64)
	Catch(c)
	send := func(sig syscall.Signal) {
		if err := syscall.Kill(os.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
	}
	await := func(sig syscall.Signal, again <-chan time.Time) {
		send(sig)
		for {
			select {
			case got := <-c:
				if got == sig {
					return
				}
			case <-again: // the first were sent too early
				send(sig)
			}
		}
	}
	// Most of them end the process that does not catch them.
	for _, sig := range usual {
		await(sig.(syscall.Signal), nil)
	}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	const realtime = 37 // what systemd in a container is told to halt by
	for _, sig := range []syscall.Signal{syscall.SIGALRM, syscall.SIGIO, realtime, 64} {
		await(sig, ticker.C)
	}
}
