package signals

import (
	"os"
	"os/exec"
	"os/signal"
	"strings"
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

// TestCatchSome takes a signal from os/signal, and leaves it another: in a process
// of its own, as what other tests have caught is not given back.
func TestCatchSome(t *testing.T) {
	const here = "SIGNALS_TEST_HERE"
	if os.Getenv(here) == "" {
		again := exec.Command(os.Args[0], "-test.run=^TestCatchSome$", "-test.v")
		again.Env = append(os.Environ(), here+"=1")
		if out, err := again.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestCatchSome") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	theirs := make(chan os.Signal, 1)
	signal.Notify(theirs, syscall.Signal(50), syscall.Signal(51))
	ours := make(chan os.Signal, 1)
	if err := Catch(ours, syscall.Signal(51), syscall.Signal(52)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		sig syscall.Signal
		to  chan os.Signal
	}{{50, theirs}, {51, ours}, {52, ours}} {
		if err := syscall.Kill(os.Getpid(), c.sig); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-c.to:
			if got != c.sig {
				t.Errorf("%v came for %v", got, c.sig)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%v did not come", c.sig)
		}
	}
	select {
	case got := <-theirs:
		t.Errorf("%v came twice", got)
	default:
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
