package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	slashpath "path" // path/filepath initialises after the heavy libraries
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"compose/internal/rawfile"
)

// PIDs lists the processes in the group and in groups below it.
func PIDs(path string) ([]int, error) {
	h, err := host()
	if err != nil {
		return nil, err
	}
	dirs := h.dirs(path)
	return pidsBelow(dirs[len(dirs)-1])
}

func pidsBelow(dir string) ([]int, error) {
	data, err := rawfile.Read(slashpath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil, ignoreMissing(err)
	}
	var pids []int
	for _, f := range strings.Fields(string(data)) {
		if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return pids, ignoreMissing(err)
	}
	for _, e := range list {
		if e.IsDir() {
			below, err := pidsBelow(slashpath.Join(dir, e.Name()))
			if err != nil {
				return nil, err
			}
			pids = append(pids, below...)
		}
	}
	return pids, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// Exists says whether there is such a group, in any hierarchy.
func Exists(path string) bool {
	h, err := host()
	return err == nil && slices.ContainsFunc(h.dirs(path), exists)
}

// Freeze stops every process of the group, and Thaw lets them go on. Both
// return when it is so.
func Freeze(path string) error { return setFrozen(path, true) }

// Thaw undoes Freeze.
func Thaw(path string) error { return setFrozen(path, false) }

func setFrozen(path string, frozen bool) error {
	h, err := host()
	if err != nil {
		return err
	}
	if h.unified != "" {
		dir := slashpath.Join(h.unified, path)
		if err := write(dir, "cgroup.freeze", map[bool]string{true: "1", false: "0"}[frozen]); err != nil {
			return err
		}
		return waitEvent(dir, "frozen", map[bool]string{true: "1", false: "0"}[frozen])
	}
	dir := h.dir("freezer", path)
	if dir == "" {
		return errors.New("this host has no freezer cgroup")
	}
	want := map[bool]string{true: "FROZEN", false: "THAWED"}[frozen]
	for range 1000 {
		// FREEZING is retried by writing again (kernel freezer-subsystem.txt)
		if err := write(dir, "freezer.state", want); err != nil {
			return err
		}
		state, err := rawfile.Read(slashpath.Join(dir, "freezer.state"))
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(state)) == want {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("the processes did not become %s", strings.ToLower(want))
}

// Frozen says whether the group's processes are.
func Frozen(path string) bool {
	h, err := host()
	if err != nil {
		return false
	}
	if h.unified != "" {
		data, err := rawfile.Read(slashpath.Join(h.unified, path, "cgroup.freeze"))
		return err == nil && strings.TrimSpace(string(data)) == "1"
	}
	state, err := rawfile.Read(slashpath.Join(h.dir("freezer", path), "freezer.state"))
	return err == nil && strings.TrimSpace(string(state)) != "THAWED"
}

// waitEvent waits until cgroup.events has the line "key value"; the kernel
// tells of each change by POLLPRI.
func waitEvent(dir, key, value string) error {
	f, err := os.Open(slashpath.Join(dir, "cgroup.events"))
	if err != nil {
		return err
	}
	defer f.Close()
	deadline := time.Now().Add(10 * time.Second)
	buf := make([]byte, 256)
	for {
		n, err := f.ReadAt(buf, 0)
		if n == 0 && err != nil {
			return err
		}
		if slices.ContainsFunc(strings.Split(string(buf[:n]), "\n"), func(l string) bool { return l == key+" "+value }) {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("the cgroup did not become %q %s", key, value)
		}
		fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(fds, int(left.Milliseconds())+1); err != nil && err != unix.EINTR {
			return err
		}
	}
}

// KillAll sends SIGKILL to every process of the group.
func KillAll(path string) error {
	h, err := host()
	if err != nil {
		return err
	}
	if h.unified != "" {
		err := write(slashpath.Join(h.unified, path), "cgroup.kill", "1")
		if err == nil || errors.Is(err, fs.ErrNotExist) && !exists(slashpath.Join(h.unified, path)) {
			return nil
		}
		// cgroup.kill is younger than some kernels we run on.
	}
	pids, err := PIDs(path)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Delete kills what is left in the group and removes it from every hierarchy.
// A group that is not there is no error.
func Delete(path string) error {
	h, err := host()
	if err != nil {
		return err
	}
	if err := Check(path); err != nil {
		return err
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		busy := ""
		for _, d := range h.dirs(path) {
			if err := removeTree(d); err != nil {
				busy = d
			}
		}
		if busy == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the cgroup %s is still in use", busy)
		}
		if err := KillAll(path); err != nil {
			return err
		}
		// Nothing tells of the moment when the last dying process has left.
		time.Sleep(time.Millisecond)
	}
}

func removeTree(dir string) error {
	err := unix.Rmdir(dir)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	list, readErr := os.ReadDir(dir)
	if readErr != nil {
		return ignoreMissing(readErr)
	}
	for _, e := range list {
		if e.IsDir() {
			if err := removeTree(slashpath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err = unix.Rmdir(dir); err == unix.ENOENT {
		return nil
	}
	return err
}

// DeleteParent removes an empty group above containers' groups, and leaves one
// that has children alone: the last of them removes it. Create makes such a
// group in the first hierarchy first, and there it goes last: where that has
// none, nothing is left of it.
func DeleteParent(path string) error {
	h, err := host()
	if err != nil {
		return err
	}
	if err := Check(path); err != nil {
		return err
	}
	dirs := h.dirs(path)
	if len(dirs) == 0 || !exists(dirs[0]) {
		return nil
	}
	for i, d := range slices.Backward(dirs) {
		if i == 0 && !h.pure() {
			// Other runtimes put containers into hierarchies that we have no use for.
			const top = "/sys/fs/cgroup"
			others, _ := os.ReadDir(top)
			for _, o := range others {
				if other := slashpath.Join(top, o.Name(), path); other != d {
					_ = unix.Rmdir(other) // if it is there, and empty
				}
			}
		}
		switch err := unix.Rmdir(d); err {
		case nil, unix.ENOENT:
		case unix.EBUSY, unix.ENOTEMPTY:
			return nil
		default:
			return fmt.Errorf("remove the cgroup %s: %w", d, err)
		}
	}
	return nil
}

// OOMKilled says whether the kernel has killed a process of the group for
// want of memory.
func OOMKilled(path string) bool {
	h, err := host()
	if err != nil {
		return false
	}
	file := "memory.oom_control"
	if h.pure() {
		file = "memory.events"
	}
	data, err := rawfile.Read(slashpath.Join(h.dir("memory", path), file))
	if err != nil {
		return false
	}
	for line := range bytes.Lines(data) {
		f := strings.Fields(string(line))
		if len(f) == 2 && f[0] == "oom_kill" && f[1] != "0" {
			return true
		}
	}
	return false
}

// Stats is what a group has used.
type Stats struct {
	CPU         time.Duration // of all processors together
	Memory      uint64        // bytes, without the page cache that can be dropped
	MemoryLimit uint64        // bytes; 0: none
	PIDs        uint64
	ReadBytes   uint64
	WriteBytes  uint64
}
