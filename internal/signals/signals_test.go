package signals

import (
	"os"
	"syscall"
	"testing"
	"time"
)

func TestCatch(t *testing.T) {
	c := make(chan os.Signal, 64)
	if err := Catch(c); err != nil {
		t.Fatal(err)
	}
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
	for sig := syscall.Signal(1); sig <= highest; sig++ {
		if sig != syscall.SIGKILL && sig != syscall.SIGSTOP && !ofRuntime(sig) {
			await(sig, nil)
		}
	}
	// The last of those that are caught later, which alone does no harm before.
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	await(syscall.SIGURG, ticker.C)
	for _, sig := range runtimes {
		await(sig.(syscall.Signal), nil)
	}
}

// TestMany has signals come while all threads are busy with something else.
func TestMany(t *testing.T) {
	c := make(chan os.Signal)
	if err := Catch(c); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	defer close(stop)
	for range 2 {
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = make([]byte, 1<<12)
				}
			}
		}()
	}
	for range 30 {
		if err := syscall.Kill(os.Getpid(), 40); err != nil {
			t.Fatal(err)
		}
		for sig := range c {
			if sig == syscall.Signal(40) {
				break
			}
		}
	}
}
