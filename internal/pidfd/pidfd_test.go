package pidfd

import (
	"os"
	"os/exec"
	"runtime/pprof"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// start runs a shell line as a child of this process that nothing else reaps.
func start(t *testing.T, line string) *os.File {
	t.Helper()
	fd := -1
	path, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	_, err = syscall.ForkExec(path, []string{"sh", "-c", line}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{PidFD: &fd}})
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	t.Cleanup(func() { f.Close() })
	return f
}

func TestWait(t *testing.T) {
	for line, want := range map[string]syscall.WaitStatus{
		"exit 0":     0,
		"exit 7":     7 << 8,
		"kill -9 $$": 9,
	} {
		if got, err := Wait(start(t, line)); got != want || err != nil {
			t.Errorf("%s: got %x, %v", line, got, err)
		}
	}
}

func TestEnded(t *testing.T) {
	f := start(t, "read x; exit 3")
	unix.PidfdSendSignal(int(f.Fd()), unix.SIGTERM, nil, 0)
	if err := Ended(f); err != nil {
		t.Fatal(err)
	}
	if got, err := Wait(f); err != nil || got.Signal() != syscall.SIGTERM && got.ExitStatus() != 3 && got.ExitStatus() != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestThreads waits for many processes at once without a thread for each.
func TestThreads(t *testing.T) {
	var wg sync.WaitGroup
	var files []*os.File
	for range 50 {
		f := start(t, "exec sleep 100")
		files = append(files, f)
		wg.Go(func() {
			if s, err := Wait(f); err != nil || s.Signal() != syscall.SIGKILL {
				t.Errorf("got %v, %v", s, err)
			}
		})
	}
	if n := pprof.Lookup("threadcreate").Count(); n > 40 {
		t.Errorf("%d threads", n)
	}
	for _, f := range files {
		unix.PidfdSendSignal(int(f.Fd()), unix.SIGKILL, nil, 0)
	}
	wg.Wait()
}
