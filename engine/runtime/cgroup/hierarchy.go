// Package cgroup makes, limits, freezes, weighs and removes the control groups
// of containers, on cgroup v1, v2 and the hybrid of both.
package cgroup

import (
	"errors"
	"fmt"
	"os"
	slashpath "path" // path/filepath initialises after the heavy libraries
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"compose/internal/rawfile"
)

// hierarchies are the cgroup file systems of this host.
type hierarchies struct {
	v1      map[string]string // controller -> mount point; co-mounted ones share it
	unified string            // mount point of the v2 hierarchy, or ""
}

// pure says that there is v2 and nothing else.
func (h *hierarchies) pure() bool { return len(h.v1) == 0 && h.unified != "" }

var host = sync.OnceValues(func() (*hierarchies, error) {
	data, err := rawfile.Read("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	h := &hierarchies{v1: map[string]string{}}
	for line := range strings.Lines(string(data)) {
		before, after, ok := strings.Cut(line, " - ")
		if !ok {
			continue
		}
		fields, tail := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(tail) < 3 || fields[3] != "/" {
			continue
		}
		switch tail[0] {
		case "cgroup2":
			if h.unified == "" {
				h.unified = fields[4]
			}
		case "cgroup":
			for _, o := range strings.Split(tail[2], ",") {
				if slices.Contains(controllers, o) && h.v1[o] == "" {
					h.v1[o] = fields[4]
				}
			}
		}
	}
	if len(h.v1) == 0 && h.unified == "" {
		return nil, errors.New("no cgroup file system is mounted below /sys/fs/cgroup")
	}
	return h, nil
})

// controllers are the v1 controllers that a container gets a group in.
var controllers = []string{"blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"}

// Version is 2 on a host with the v2 hierarchy alone, and 1 otherwise.
func Version() int {
	if h, err := host(); err == nil && h.pure() {
		return 2
	}
	return 1
}

// dirs are the directories of one group, one for each hierarchy, without
// doubles.
func (h *hierarchies) dirs(path string) []string {
	var list []string
	for _, c := range controllers {
		if top, ok := h.v1[c]; ok {
			if d := slashpath.Join(top, path); !slices.Contains(list, d) {
				list = append(list, d)
			}
		}
	}
	if h.unified != "" {
		list = append(list, slashpath.Join(h.unified, path))
	}
	return list
}

// dir is the group's directory in the hierarchy of one controller, or "".
func (h *hierarchies) dir(controller, path string) string {
	if top, ok := h.v1[controller]; ok {
		return slashpath.Join(top, path)
	}
	if h.pure() {
		return slashpath.Join(h.unified, path)
	}
	return ""
}

// Check refuses a path that would lead out of the hierarchies.
func Check(path string) error {
	clean := slashpath.Clean("/" + path)
	if path == "" || clean == "/" || strings.ContainsAny(path, "\x00\n") || slices.Contains(strings.Split(path, "/"), "..") {
		return fmt.Errorf("cgroup path %q is not one below the top of the hierarchies", path)
	}
	return nil
}

// Create makes the group in every hierarchy. It may exist already.
func Create(path string) error {
	h, err := host()
	if err != nil {
		return err
	}
	if err := Check(path); err != nil {
		return err
	}
	for _, d := range h.dirs(path) {
		err := func() error {
			if h.isCpuset(d) {
				cpusets.Lock()
				defer cpusets.Unlock()
			}
			return h.mkdir(d)
		}()
		if err != nil {
			return fmt.Errorf("make the cgroup %s: %w", d, err)
		}
	}
	return nil
}

// cpusets is held while one is made: of containers that start at once, none is
// to find the group above before that hands on what it has.
var cpusets sync.Mutex

// isCpuset says that a directory is a group of cgroup v1's hierarchy of cpusets.
func (h *hierarchies) isCpuset(dir string) bool {
	top := h.v1["cpuset"]
	return top != "" && strings.HasPrefix(dir, top+"/")
}

func (h *hierarchies) mkdir(dir string) error {
	err := unix.Mkdir(dir, 0o755)
	cpuset := h.isCpuset(dir)
	// Again, because the last container of another project may take the empty
	// group above away at that very moment.
	for try := 0; err == unix.ENOENT && try < 100; try++ {
		if err = h.mkdir(slashpath.Dir(dir)); err == nil {
			if cpuset { // the kernel does then for those below what inheritCPUs does
				_ = write(slashpath.Dir(dir), "cgroup.clone_children", "1")
			}
			err = unix.Mkdir(dir, 0o755)
		}
	}
	if err != nil && err != unix.EEXIST {
		return err
	}
	if cpuset {
		if err := inheritCPUs(dir); errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
			return unix.ENOENT // taken away again already
		} else if err != nil {
			return err
		}
		return nil
	}
	if err == nil && h.pure() {
		return h.delegate(slashpath.Dir(dir))
	}
	return nil
}

// inheritCPUs gives a v1 cpuset what the one above has, unless the kernel did:
// it is born empty and takes no process until it has both. The one above may be
// as new.
func inheritCPUs(dir string) error {
	if mems, err := read(dir, "cpuset.mems"); err != nil || mems != "" { // what comes last is there
		return err
	}
	above := slashpath.Dir(dir)
	if err := inheritCPUs(above); err != nil {
		return err
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := read(above, file)
		if err != nil {
			return err
		}
		if err := write(dir, file, value); err != nil {
			return err
		}
	}
	return nil
}

// delegate switches the controllers on for the children of dir. A controller
// that cannot be is missed only when a limit of it is asked for.
func (h *hierarchies) delegate(dir string) error {
	available, err := rawfile.Read(slashpath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	enabled, err := rawfile.Read(slashpath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	have := strings.Fields(string(enabled))
	for _, c := range strings.Fields(string(available)) {
		if !slices.Contains(have, c) {
			_ = write(dir, "cgroup.subtree_control", "+"+c)
		}
	}
	return nil
}

// read is the text of a file without the space around it.
func read(dir, file string) (string, error) {
	fd, err := unix.Open(slashpath.Join(dir, file), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	defer unix.Close(fd)
	var text []byte
	for buf := make([]byte, 512); ; {
		n, err := unix.Read(fd, buf)
		if err != nil {
			return "", fmt.Errorf("read %s: %w", file, err)
		}
		if n == 0 {
			return strings.TrimSpace(string(text)), nil
		}
		text = append(text, buf[:n]...)
	}
}

func write(dir, file, value string) error {
	fd, err := unix.Open(slashpath.Join(dir, file), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(value)); err != nil {
		return fmt.Errorf("write %q to %s: %w", value, file, err)
	}
	return nil
}

// Join says how a process becomes a member of the group.
type Join struct {
	Tasks   []int    // v1: descriptors; a thread writes "0" to each to move itself
	Unified *os.File // v2: the directory for CLONE_INTO_CGROUP, or nil
}

// Open prepares to join the group. The single-thread way into v1 (the tasks
// file) spares the kernel's lock over all processes' threads, and with it the
// wait for an RCU grace period that it may cost.
func Open(path string) (*Join, error) {
	h, err := host()
	if err != nil {
		return nil, err
	}
	j := &Join{}
	for _, d := range h.dirs(path) {
		if h.unified != "" && strings.HasPrefix(d, h.unified+"/") {
			continue
		}
		fd, err := unix.Open(slashpath.Join(d, "tasks"), unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			j.Close()
			return nil, fmt.Errorf("join the cgroup: %w", err)
		}
		j.Tasks = append(j.Tasks, fd)
	}
	if h.unified != "" {
		if j.Unified, err = os.Open(slashpath.Join(h.unified, path)); err != nil {
			j.Close()
			return nil, fmt.Errorf("join the cgroup: %w", err)
		}
	}
	return j, nil
}

// Close closes the files.
func (j *Join) Close() {
	for _, fd := range j.Tasks {
		unix.Close(fd)
	}
	j.Tasks = nil
	if j.Unified != nil {
		j.Unified.Close()
	}
}

// Mount is a v1 hierarchy as a container sees it below /sys/fs/cgroup.
type Mount struct {
	Name    string // of the directory
	Type    string // of the file system: "cgroup" or "cgroup2"
	Options string // for mount(2): the controllers
	Host    string // where the host has it mounted
}

// Mounts lists the hierarchies of a v1 or hybrid host.
func Mounts() []Mount {
	h, err := host()
	if err != nil {
		return nil
	}
	var list []Mount
	seen := map[string]int{}
	for _, c := range controllers {
		top, ok := h.v1[c]
		if !ok {
			continue
		}
		if i, ok := seen[top]; ok {
			list[i].Options += "," + c
			continue
		}
		seen[top] = len(list)
		list = append(list, Mount{Name: slashpath.Base(top), Type: "cgroup", Options: c, Host: top})
	}
	if h.unified != "" {
		list = append(list, Mount{Name: "unified", Type: "cgroup2", Host: h.unified})
	}
	return list
}

// OpenOf is Open for a group that the process pid is in: on v2, where a program
// in the container has made groups below its own, it joins the one of pid,
// because v2 has no processes in a group with others below it.
func OpenOf(pid int, path string) (*Join, error) {
	j, err := Open(path)
	if err != nil || j.Unified == nil {
		return j, err
	}
	data, err := rawfile.Read(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return j, nil // it has ended; entering it says so
	}
	for line := range strings.Lines(string(data)) {
		own, ok := strings.CutPrefix(strings.TrimSpace(line), "0::/")
		if !ok || !strings.HasPrefix(own, path+"/") {
			continue
		}
		h, err := host()
		if err != nil {
			return j, nil
		}
		if below, err := os.Open(slashpath.Join(h.unified, own)); err == nil {
			j.Unified.Close()
			j.Unified = below
		}
	}
	return j, nil
}
