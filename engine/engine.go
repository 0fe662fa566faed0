package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"compose/engine/image"
	"compose/engine/runtime"
	"compose/internal/filelock"
	"compose/internal/roots"
	"compose/internal/spread"
	"compose/internal/statefile"
	"compose/netbridge"
	"compose/volumes"
)

// formatVersion is that of config.json and state.json.
const formatVersion = 1

// Engine is the containers, images, networks and volumes of one root. Its
// methods may be used by several goroutines and several processes at once.
type Engine struct {
	roots    roots.Roots
	images   *image.Store
	networks *netbridge.Manager
	volumes  *volumes.Store
	bottom   func() (string, error) // the layer of the mount points
	ahead    ahead

	// Attended says whether somebody looks after a project's containers who will
	// write how they end; nil: nobody but the caller.
	Attended func(project string) bool
	vain     atomic.Bool // it was waited for in vain
}

// Open returns the engine of a root. It scans nothing.
func Open(r roots.Roots) (*Engine, error) {
	if err := r.Create(); err != nil {
		return nil, err
	}
	images, err := image.Open(r)
	if err != nil {
		return nil, err
	}
	networks, err := netbridge.Open(r)
	if err != nil {
		return nil, err
	}
	bottom := sync.OnceValues(func() (string, error) { return makeMountPoints(filepath.Join(r.State, "mountpoints")) })
	return &Engine{roots: r, images: images, networks: networks, volumes: volumes.Open(r), bottom: bottom}, nil
}

// Images is the image store.
func (e *Engine) Images() *image.Store { return e.images }

// Networks is the network manager.
func (e *Engine) Networks() *netbridge.Manager { return e.networks }

// Volumes is the volume store.
func (e *Engine) Volumes() *volumes.Store { return e.volumes }

// Roots are the directories of this installation.
func (e *Engine) Roots() roots.Roots { return e.roots }

// NotFoundError says that there is no such container.
type NotFoundError struct{ Ref string }

func (e *NotFoundError) Error() string { return "No such container: " + e.Ref }

// Is lets errors.Is match fs.ErrNotExist.
func (e *NotFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// Filter chooses containers; what is left zero does not matter.
type Filter struct {
	Project string
	Labels  map[string]string
}

func (f Filter) matches(c *Container) bool {
	if f.Project != "" && c.Spec.Project != f.Project {
		return false
	}
	for k, v := range f.Labels {
		if c.Spec.Labels[k] != v {
			return false
		}
	}
	return true
}

func (e *Engine) dir(id string) string        { return e.roots.Container(id) }
func (e *Engine) configPath(id string) string { return filepath.Join(e.dir(id), "config.json") }
func (e *Engine) statePath(id string) string  { return filepath.Join(e.dir(id), "state.json") }

// LogPath is the file that the container's output goes to.
func (e *Engine) LogPath(id string) string { return filepath.Join(e.dir(id), id+"-json.log") }

// cgroupParent is the group above all containers of this root.
func (e *Engine) cgroupParent() string { return "compose-" + e.roots.Tag() }

func (e *Engine) cgroupPath(c *Container) string {
	if c.Spec.CgroupParent != "" {
		return filepath.Join(strings.Trim(filepath.Clean("/"+c.Spec.CgroupParent), "/"), e.cgroupParent()+"-"+c.ID)
	}
	return filepath.Join(e.cgroupParent(), c.ID)
}

// Containers returns the containers that match, the oldest first.
func (e *Engine) Containers(_ context.Context, f Filter) ([]*Container, error) {
	entries, err := os.ReadDir(e.roots.Containers())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(d fs.DirEntry) bool { return strings.HasPrefix(d.Name(), ".") })
	list := make([]*Container, len(entries))
	err = spread.Each(len(entries), func(i int) error {
		c, err := e.readOnce(entries[i].Name())
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed in the meantime
		}
		if err == nil && f.matches(c) {
			list[i] = c
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(c *Container) bool { return c == nil })
	sort.Slice(list, func(i, j int) bool { return list[i].Created.Before(list[j].Created) })
	return list, nil
}

func (e *Engine) read(id string) (*Container, error) {
	var c Container
	if err := statefile.ReadVersioned(e.configPath(id), &c, &c.Version, formatVersion); err != nil {
		return nil, err
	}
	return &c, nil
}

// changeSpec changes what is on record of a container and returns that. Of
// several processes that do so one comes after the other.
func (e *Engine) changeSpec(id string, change func(*Container) error) (*Container, error) {
	lock, err := filelock.Exclusive(filepath.Join(e.roots.Containers(), ".config.lock"))
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	c, err := e.read(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NotFoundError{id}
	}
	if err != nil {
		return nil, err
	}
	if err := change(c); err != nil {
		return nil, err
	}
	return c, statefile.WriteKept(e.configPath(id), c)
}

// Container finds a container by its ID, its name or an unambiguous beginning of
// the ID, in this order, as Docker does.
func (e *Engine) Container(ctx context.Context, ref string) (*Container, error) {
	if len(ref) == 64 && isID(ref) {
		if c, err := e.read(ref); !errors.Is(err, fs.ErrNotExist) {
			return c, err
		}
	}
	if id, ok := e.idOfName(ref); ok {
		if c, err := e.read(id); err == nil {
			return c, nil
		}
	}
	if !e.namesAreWhole() {
		if c, ok := e.named(ctx, ref); ok {
			return c, nil
		}
	}
	if !isID(ref) {
		return nil, &NotFoundError{ref}
	}
	entries, err := os.ReadDir(e.roots.Containers())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	found := ""
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ref) {
			if found != "" {
				return nil, fmt.Errorf("the container ID %s is ambiguous: give more of its digits", ref)
			}
			found = entry.Name()
		}
	}
	if found == "" {
		return nil, &NotFoundError{ref}
	}
	c, err := e.read(found)
	if errors.Is(err, fs.ErrNotExist) { // it is being removed
		err = &NotFoundError{ref}
	}
	return c, err
}

// named looks for a name in the records themselves.
func (e *Engine) named(ctx context.Context, name string) (*Container, bool) {
	list, err := e.Containers(ctx, Filter{})
	i := slices.IndexFunc(list, func(c *Container) bool { return c.Spec.Name == name })
	if err != nil || i < 0 {
		return nil, false
	}
	return list[i], true
}

func isID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}

// State returns what is true of a container now. A process that is gone
// without a word, after a crash of the host say, is reported as exited.
func (e *Engine) State(id string) (*State, error) {
	s, err := e.stateOnce(id)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(e.configPath(id)); err != nil {
			return nil, &NotFoundError{id}
		}
		return s, nil
	}
	if err != nil || !s.gone() {
		return s, err
	}
	return e.settled(id, s)
}

// settled is the state of a container whose process is gone, though it runs on
// record: a supervisor lets the kernel forget a process once its end is on
// record, which it may be by now. Where somebody is about to write how it ended,
// as when its parent was the keeper, that is waited for.
func (e *Engine) settled(id string, was *State) (*State, error) {
	attended := false
	if c, err := e.read(id); err == nil && e.Attended != nil {
		attended = e.Attended(c.Spec.Project)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		s, err := e.StateOnRecord(id)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &NotFoundError{id}
		}
		if err != nil || s.PID != was.PID || s.PIDStart != was.PIDStart {
			return s, err
		}
		if attended && !e.vain.Load() {
			if time.Now().Before(deadline) {
				continue
			}
			e.vain.Store(true) // not once more for each container
		}
		s.Status, s.PID = Exited, 0
		if s.ExitCode == 0 {
			s.ExitCode = 255
		}
		return s, nil
	}
}

// gone says that the process that is to run does not.
func (s *State) gone() bool {
	return (s.Status == Running || s.Status == Paused) && !Alive(s.PID, s.PIDStart)
}

// WriteState records a container's state. Its supervisor alone does that.
func (e *Engine) WriteState(id string, s *State) error {
	s.Version = formatVersion
	return statefile.WriteJSON(e.statePath(id), s)
}

// NextState is a state that a container will probably have soon. It comes to the disk
// while something else is done, which is when one has to wait for that.
type NextState struct {
	e     *Engine
	id    string
	done  chan struct{}
	ready *statefile.Ready // nil: not to be had
}

// NextState prepares to write a state. Write or Drop is to be called.
func (e *Engine) NextState(id string, s State) *NextState {
	s.Version = formatVersion
	n := &NextState{e: e, id: id, done: make(chan struct{})}
	go func() {
		defer close(n.done)
		n.ready, _ = statefile.Prepare(e.statePath(id), &s) // or Write tells what is wrong
	}()
	return n
}

// Write is WriteState, of that state or of another.
func (n *NextState) Write(s *State) error {
	<-n.done
	s.Version = formatVersion
	if n.ready != nil && n.ready.Holds(s) {
		if err := n.ready.Put(); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	n.Drop()
	return n.e.WriteState(n.id, s)
}

// Drop forgets it. It may be called on nil.
func (n *NextState) Drop() {
	if n == nil {
		return
	}
	if <-n.done; n.ready != nil {
		n.ready.Drop()
	}
}

// Alive says whether the process with this number is the one that started
// then, and not another that got the number later.
func Alive(pid int, start uint64) bool {
	return pid > 0 && runtime.StartTicks(pid) == start
}
