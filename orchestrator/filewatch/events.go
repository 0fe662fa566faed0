package filewatch

import (
	"encoding/binary"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// read turns the kernel's events into paths until the watcher is closed.
func (w *Watcher) read() {
	defer close(w.events)
	buf := make([]byte, 64<<10)
	for {
		n, err := w.f.Read(buf)
		if err != nil {
			select {
			case <-w.closed:
			default:
				w.err = fmt.Errorf("watch files: %w", err)
			}
			return
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			wd := int32(binary.NativeEndian.Uint32(b))
			mask := binary.NativeEndian.Uint32(b[4:])
			end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
			name := strings.TrimRight(string(b[unix.SizeofInotifyEvent:end]), "\x00")
			b = b[end:]
			if err := w.handle(wd, mask, name); err != nil {
				w.err = err
				return
			}
		}
	}
}

// handle deals with one event of the kernel.
func (w *Watcher) handle(wd int32, mask uint32, name string) error {
	if mask&unix.IN_Q_OVERFLOW != 0 {
		// Nobody knows what happened: everything may have changed.
		for _, root := range w.roots {
			if err := w.cover(root, w.tell); err != nil {
				return err
			}
		}
		return nil
	}
	dir, ok := w.dirs[wd]
	if !ok {
		return nil
	}
	if name == "" { // about the directory itself
		return w.lost(wd, dir, mask)
	}
	path := filepath.Join(dir, name)
	isDir := mask&unix.IN_ISDIR != 0
	appeared := mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0
	if isDir && mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0 {
		w.forget(path)
	}
	if !slices.ContainsFunc(w.roots, func(root string) bool { return below(root, path) }) {
		for _, root := range w.roots {
			if appeared && below(path, root) { // it is on the way to one
				if err := w.cover(root, w.tell); err != nil {
					return err
				}
			}
		}
		return nil
	}
	switch {
	case isDir && appeared:
		return w.tree(path, w.tell)
	case isDir && mask&unix.IN_ATTRIB != 0:
		return nil
	}
	w.tell(path)
	return nil
}

// lost is called when something happened to a watched directory itself, which
// is news only of one above a watched path: that is then looked for again.
func (w *Watcher) lost(wd int32, dir string, mask uint32) error {
	above := slices.ContainsFunc(w.roots, func(root string) bool { return below(dir, root) && root != dir })
	switch {
	case mask&unix.IN_IGNORED != 0:
		delete(w.dirs, wd)
		if w.wds[dir] == wd {
			delete(w.wds, dir)
		}
	case mask&unix.IN_MOVE_SELF != 0 && above:
		w.forget(dir)
	default:
		return nil
	}
	for _, root := range w.roots {
		if above && below(dir, root) {
			if err := w.cover(root, w.tell); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *Watcher) tell(path string) {
	select {
	case w.events <- path:
	case <-w.closed:
	}
}

// gather collects paths until nothing has happened for a while. While nobody
// takes a batch it grows.
func (w *Watcher) gather() {
	defer close(w.batches)
	pending := map[string]bool{}
	var quiet <-chan time.Time
	var deadline time.Time
	var out chan<- []string
	var batch []string
	for {
		select {
		case <-w.closed:
			return
		case path, ok := <-w.events:
			if !ok {
				return
			}
			if len(pending) == 0 {
				deadline = time.Now().Add(maxAge)
			}
			pending[path] = true
			out, quiet = nil, time.After(min(quietPeriod, time.Until(deadline)))
		case <-quiet:
			quiet, out, batch = nil, w.batches, slices.Sorted(maps.Keys(pending))
		case out <- batch:
			out = nil
			clear(pending)
		}
	}
}
