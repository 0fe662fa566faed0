package runtime

import (
	"os/exec"
	"testing"
	"time"
)

func TestEnded(t *testing.T) {
	cmd := exec.Command("sh", "-c", "read x")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid, ticks := cmd.Process.Pid, StartTicks(cmd.Process.Pid)
	if Ended(pid, ticks) {
		t.Error("it runs")
	}
	if !Ended(pid, ticks+1) {
		t.Error("an earlier process of that number has ended")
	}
	stdin.Close()
	for deadline := time.Now().Add(time.Minute); !Ended(pid, ticks); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it has ended, and nobody has asked how")
		}
	}
	if StartTicks(pid) != ticks {
		t.Error("it was reaped, by whom?")
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it succeeds")
	}
	if !Ended(pid, ticks) {
		t.Error("it is gone")
	}
}
