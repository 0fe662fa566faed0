package engine

import (
	"os"
	"os/exec"
	"testing"

	"compose/engine/runtime"
	"compose/internal/roots"
)

// TestStateWhileItEnds looks at containers while their ends come to the record
// and the kernel then forgets their processes: what is seen is one or the other.
func TestStateWhileItEnds(t *testing.T) {
	r, err := roots.New(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(r)
	if err != nil {
		t.Fatal(err)
	}
	const id = "0123456789ab"
	if err := os.MkdirAll(e.dir(id), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		cmd := exec.Command("cat")
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pid := cmd.Process.Pid
		if err := e.WriteState(id, &State{Status: Running, PID: pid, PIDStart: runtime.StartTicks(pid)}); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			err := e.WriteState(id, &State{Status: Exited, ExitCode: 3})
			stdin.Close()
			_ = cmd.Wait() // it ends well
			ended <- err
		}()
		for s := new(State); s.Status != Exited; {
			if s, err = e.State(id); err != nil {
				t.Fatal(err)
			}
			if s.Status == Exited && s.ExitCode != 3 {
				t.Fatalf("it ended with 3, and is seen as %+v", s)
			}
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}
