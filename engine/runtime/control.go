package runtime

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"compose/engine/runtime/cgroup"
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

// DeleteCgroup kills what is left of the container and removes its cgroup.
func DeleteCgroup(cgroupPath string) error { return cgroup.Delete(cgroupPath) }
