package pidfd

import (
	"os"
	"os/exec"
	"runtime/pprof"
	"sync"
	"syscall"
	"testing"
	"time"

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

func TestPeek(t *testing.T) {
	f := start(t, "exit 5")
	for range 2 { // it is still there to be asked
		if got, err := Peek(f); got.ExitStatus() != 5 || err != nil {
			t.Errorf("got %x, %v", got, err)
		}
	}
	if err := Reap(f); err != nil {
		t.Error(err)
	}
	if err := Reap(f); err == nil {
		t.Error("it can be reaped twice")
	}
}

// exits are the ends that Exit is tried with.
var exits = map[string]syscall.WaitStatus{"read x; exit 7": 7 << 8, "read x; kill -9 $$": 9}

// child runs a shell line that waits for its input to end.
func child(t *testing.T, line string) (cmd *exec.Cmd, f *os.File, end func()) {
	t.Helper()
	cmd = exec.Command("sh", "-c", line)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	f = os.NewFile(uintptr(fd), "pidfd")
	t.Cleanup(func() { f.Close() })
	return cmd, f, func() { stdin.Close() }
}

// TestExit asks about a process that somebody else has reaped.
func TestExit(t *testing.T) {
	if !tellsExits() {
		t.Skip("this kernel does not tell of exits (Linux 6.15 does)")
	}
	for line, want := range exits {
		cmd, f, end := child(t, line)
		end()
		cmd.Wait()
		if got, ok := Exit(f, cmd.Process.Pid, time.Minute); got != want || !ok {
			t.Errorf("%s: got %x, %v", line, got, ok)
		}
	}
}

// TestExitOfZombie asks about a process that its parent does not reap.
func TestExitOfZombie(t *testing.T) {
	for line, want := range exits {
		cmd, f, end := child(t, line)
		if _, ok := Exit(f, cmd.Process.Pid, 10*time.Millisecond); ok {
			t.Error("it is told of before it has ended")
		}
		time.AfterFunc(20*time.Millisecond, end)
		if got, ok := Exit(f, cmd.Process.Pid, time.Minute); got != want || !ok {
			t.Errorf("%s: got %x, %v", line, got, ok)
		}
		cmd.Wait()
	}
}

// tellsExits asks the kernel about a process that has just been reaped.
func tellsExits() bool {
	cmd := exec.Command("true")
	if cmd.Start() != nil {
		return false
	}
	fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	cmd.Wait()
	info := unix.PidfdInfo{Mask: exitInfo}
	return unix.IoctlPidfdInfo(fd, &info) == nil && info.Mask&exitInfo != 0
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
