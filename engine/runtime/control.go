package runtime

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"compose/engine/runtime/cgroup"
	"compose/internal/procstat"
)

// Signal sends a signal to the process behind pidfd; one that has ended gets
// none, which is no error.
func Signal(pidfd *os.File, sig unix.Signal) error {
	err := unix.PidfdSendSignal(int(pidfd.Fd()), sig, nil, 0)
	if err != nil && err != unix.ESRCH {
		return fmt.Errorf("send %s: %w", unix.SignalName(sig), err)
	}
	return nil
}

// Released says whether a process that Create has made runs its program by now.
// One that does not, and whose maker is dead, ends just now. maker is how the
// maker's own arguments begin.
func Released(pid int, maker string) bool {
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	first, _, _ := strings.Cut(string(args), "\x00")
	// Until it executes something its memory is that of its maker.
	return err == nil && len(args) > 0 && first != maker
}

// Ended says that a process is gone, or has ended and only waits for its parent
// to ask how.
func Ended(pid int, startTicks uint64) bool {
	if StartTicks(pid) != startTicks {
		return true
	}
	// Where only its first thread has ended there are others still.
	fields := procstat.Fields(pid)
	return len(fields) == 0 || len(fields) > procstat.Threads && fields[procstat.State] == "Z" && fields[procstat.Threads] == "1"
}

// KillAll sends SIGKILL to every process of the container.
func KillAll(cgroupPath string) error { return cgroup.KillAll(cgroupPath) }

// Pause freezes every process of the container; Resume lets them go on.
func Pause(cgroupPath string) error { return cgroup.Freeze(cgroupPath) }

// Resume undoes Pause.
func Resume(cgroupPath string) error { return cgroup.Thaw(cgroupPath) }

// Pids lists the container's processes by their numbers on the host.
func Pids(cgroupPath string) ([]int, error) { return cgroup.PIDs(cgroupPath) }

// Stats reads what the container has used.
func Stats(cgroupPath string) (cgroup.Stats, error) { return cgroup.Read(cgroupPath) }

// OOMKilled says whether the kernel has killed one of its processes for want of memory.
func OOMKilled(cgroupPath string) bool { return cgroup.OOMKilled(cgroupPath) }

// HasCgroup says whether the container, or what is left of it, has a cgroup.
func HasCgroup(cgroupPath string) bool { return cgroup.Exists(cgroupPath) }

// Cgroup is a container's cgroup in the making: in every hierarchy, and without
// limits yet.
type Cgroup struct {
	made chan struct{}
	err  error
}

// BeginCgroup begins to make a container's cgroup, which takes the time for it
// off that of Create.
func BeginCgroup(cgroupPath string) *Cgroup {
	c := &Cgroup{made: make(chan struct{})}
	go func() {
		defer close(c.made)
		c.err = cgroup.Create(cgroupPath)
	}()
	return c
}

// Wait returns when the cgroup is made, or the error why it is not. It may be
// called on nil, which is made.
func (c *Cgroup) Wait() error {
	if c == nil {
		return nil
	}
	<-c.made
	return c.err
}

// DeleteCgroup kills what is left of the container and removes its cgroup.
func DeleteCgroup(cgroupPath string) error { return cgroup.Delete(cgroupPath) }

// Paused says whether the container's processes are frozen.
func Paused(cgroupPath string) bool { return cgroup.Frozen(cgroupPath) }
