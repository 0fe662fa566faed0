package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path" // path/filepath initialises after the heavy libraries
	"sort"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine/runtime"
	"compose/internal/procstat"
	"compose/internal/statefile"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// container is what is kept of one: <root>/<id>/state.json, beside the two
// FIFOs that its process waits at.
type container struct {
	specs.State
	Started   time.Time       `json:"created"`
	PIDStart  uint64          `json:"pidStart,omitempty"` // runtime.StartTicks
	Cgroup    string          `json:"cgroup"`
	NoProcess bool            `json:"noProcess,omitempty"` // the bundle names no program
	Config    json.RawMessage `json:"spec"`                // config.json as it was at create

	Spec *specs.Spec `json:"-"` // what Config says
	dir  string
}

func (c *container) file() string       { return path.Join(c.dir, "state.json") }
func (c *container) startFIFO() string  { return path.Join(c.dir, "start") }
func (c *container) resultFIFO() string { return path.Join(c.dir, "result") }

func (c *container) write() error { return statefile.WriteBootJSON(c.file(), c) }

// load reads a container's state and looks at what it is doing now.
func (a *app) load() (*container, error) {
	id, err := a.id()
	if err != nil {
		return nil, err
	}
	return read(path.Join(a.root, id))
}

func read(dir string) (*container, error) {
	c := &container{dir: dir}
	err := statefile.ReadJSON(c.file(), c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("container %s does not exist", path.Base(dir))
	}
	if err == nil {
		err = c.parse()
	}
	if err != nil {
		return nil, err
	}
	c.Status = c.look()
	if c.Status == specs.StateStopped {
		c.Pid = 0
	}
	return c, nil
}

// paused is one more state than the OCI's four, as in its other runtimes.
const paused = specs.ContainerState("paused")

func (c *container) look() specs.ContainerState {
	switch {
	case c.Pid == 0:
		return specs.StateCreating
	case !alive(c.Pid, c.PIDStart):
		return specs.StateStopped
	}
	if fd, err := unix.Open(c.startFIFO(), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err == nil {
		unix.Close(fd)
		return specs.StateCreated
	}
	if runtime.Paused(c.Cgroup) {
		return paused
	}
	return specs.StateRunning
}

// alive says that the process is there and no zombie.
func alive(pid int, ticks uint64) bool {
	fields := procstat.Fields(pid)
	if len(fields) == 0 || runtime.StartTicks(pid) != ticks {
		return false
	}
	return fields[procstat.State] != "Z" && fields[procstat.State] != "X"
}

func (a *app) state() error {
	c, err := a.load()
	if err != nil {
		return err
	}
	return printJSON(c.State)
}

func printJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Printf("%s\n", text)
	return err
}

// listed is one line of list, with the fields that other runtimes print.
type listed struct {
	Version string    `json:"ociVersion"`
	ID      string    `json:"id"`
	PID     int       `json:"pid"`
	Status  string    `json:"status"`
	Bundle  string    `json:"bundle"`
	RootFS  string    `json:"rootfs"`
	Created time.Time `json:"created"`
}

func (a *app) list() error {
	entries, err := os.ReadDir(a.root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lines := []listed{}
	for _, e := range entries {
		c, err := read(path.Join(a.root, e.Name()))
		if err != nil {
			continue // being made or removed at this moment
		}
		l := listed{c.Version, c.ID, c.Pid, string(c.Status), c.Bundle, "", c.Started}
		if c.Spec.Root != nil {
			l.RootFS = c.Spec.Root.Path
		}
		lines = append(lines, l)
	}
	sort.Slice(lines, func(i, j int) bool { return lines[i].ID < lines[j].ID })
	if a.format == "json" {
		return printJSON(lines)
	}
	if a.quiet {
		for _, l := range lines {
			fmt.Println(l.ID)
		}
		return nil
	}
	id, bundle := len("ID"), len("BUNDLE")
	for _, l := range lines {
		id, bundle = max(id, len(l.ID)), max(bundle, len(l.Bundle))
	}
	fmt.Printf("%-*s   %-8s   %-8s   %-*s   %s\n", id, "ID", "PID", "STATUS", bundle, "BUNDLE", "CREATED")
	for _, l := range lines {
		fmt.Printf("%-*s   %-8d   %-8s   %-*s   %s\n", id, l.ID, l.PID, l.Status, bundle, l.Bundle, l.Created.Format(time.RFC3339))
	}
	return nil
}

func (a *app) ps() error {
	c, err := a.load()
	if err != nil {
		return err
	}
	pids, err := runtime.Pids(c.Cgroup)
	if err != nil {
		return err
	}
	if a.format == "json" {
		return printJSON(append([]int{}, pids...))
	}
	fmt.Println("PID")
	for _, pid := range pids {
		fmt.Println(pid)
	}
	return nil
}
