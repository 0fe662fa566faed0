// Package filewatch tells which files below some paths of the host change. It
// listens to inotify, follows directories as they come and go, and hands
// changes on in batches: an editor that saves twenty files is one batch.
package filewatch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// quietPeriod is how long nothing may happen before a batch is complete.
	quietPeriod = 150 * time.Millisecond
	// maxAge is how long a batch may wait for that, where something always happens.
	maxAge = 2 * time.Second
)

// changes are what is asked of the kernel. Metadata counts: a script that is
// made executable has changed.
const changes = unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_CREATE | unix.IN_DELETE | unix.IN_ATTRIB |
	unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_MOVE_SELF | unix.IN_ONLYDIR | unix.IN_DONT_FOLLOW | unix.IN_EXCL_UNLINK

// Watcher watches some paths until it is closed.
type Watcher struct {
	roots []string
	skip  func(dir string) bool
	f     *os.File
	// Both directions between watch descriptors and directories. Only the
	// goroutine that reads uses them once it runs.
	dirs map[int32]string
	wds  map[string]int32

	events  chan string
	batches chan []string
	closed  chan struct{}
	err     error
}

// New watches paths, which are absolute and free of symbolic links, with all
// that is below those that are directories. They need not exist yet.
// Directories of which skip says true are left out with what is in them.
func New(paths []string, skip func(dir string) bool) (*Watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch files: %w; the sysctl fs.inotify.max_user_instances may be too low", err)
	}
	w := &Watcher{
		skip: skip, f: os.NewFile(uintptr(fd), "inotify"), dirs: map[int32]string{}, wds: map[string]int32{},
		events: make(chan string, 1024), batches: make(chan []string), closed: make(chan struct{}),
	}
	for _, p := range paths {
		if p = filepath.Clean(p); !slices.Contains(w.roots, p) {
			w.roots = append(w.roots, p)
		}
	}
	for _, root := range w.roots {
		if err := w.cover(root, func(string) {}); err != nil {
			w.f.Close()
			return nil, err
		}
	}
	go w.read()
	go w.gather()
	return w, nil
}

// Batches gives the paths that changed, sorted: those that exist were made or
// changed, the others are gone. It is closed when the watcher ends.
func (w *Watcher) Batches() <-chan []string { return w.batches }

// Err says, once Batches is closed, why the watcher could not go on; nil if it
// was closed.
func (w *Watcher) Err() error { return w.err }

// Close ends the watcher.
func (w *Watcher) Close() {
	select {
	case <-w.closed:
	default:
		close(w.closed)
		w.f.Close()
	}
}

// cover watches a path: the directory that it is in, for its coming and going,
// and all directories below it. found is told of everything that is there.
func (w *Watcher) cover(root string, found func(string)) error {
	for dir := filepath.Dir(root); ; dir = filepath.Dir(dir) {
		ok, err := w.add(dir)
		if err != nil {
			return err
		}
		if ok || dir == "/" {
			break
		}
	}
	return w.tree(root, found)
}

// tree watches the directories from path down and tells of all that is there.
// What appears meanwhile is told of twice.
func (w *Watcher) tree(path string, found func(string)) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // it is gone again, which will be told of
	}
	found(path)
	if !info.IsDir() || w.skips(path) {
		return nil
	}
	if ok, err := w.add(path); err != nil || !ok {
		return err
	}
	list, err := os.ReadDir(path)
	if err != nil {
		return nil
	}
	for _, e := range list {
		if err := w.tree(filepath.Join(path, e.Name()), found); err != nil {
			return err
		}
	}
	return nil
}

// skips says whether nobody wants to know what happens in a directory.
func (w *Watcher) skips(dir string) bool {
	return w.skip != nil && w.skip(dir) && !slices.ContainsFunc(w.roots, func(root string) bool { return below(dir, root) })
}

// add watches one directory; ok is false where there is none.
func (w *Watcher) add(dir string) (ok bool, err error) {
	if _, have := w.wds[dir]; have {
		return true, nil
	}
	var wd int
	err = w.control(func(fd int) (err error) {
		wd, err = unix.InotifyAddWatch(fd, dir, changes)
		return err
	})
	switch err {
	case nil:
		w.dirs[int32(wd)], w.wds[dir] = dir, int32(wd)
		return true, nil
	case unix.ENOENT, unix.ENOTDIR, unix.EACCES, unix.ELOOP:
		return false, nil
	case unix.ENOSPC:
		return false, fmt.Errorf("watch %s: there are more directories than the kernel lets one user watch; raise the sysctl fs.inotify.max_user_watches, or leave some out with ignore or .dockerignore", dir)
	}
	return false, fmt.Errorf("watch %s: %w", dir, err)
}

// control calls fn with the descriptor, which stays open meanwhile.
func (w *Watcher) control(fn func(fd int) error) error {
	raw, err := w.f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = fn(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// forget lets go of a directory that is gone, and of those below it.
func (w *Watcher) forget(path string) {
	for dir, wd := range w.wds {
		if !below(path, dir) {
			continue
		}
		delete(w.wds, dir)
		delete(w.dirs, wd)
		// One that was moved is watched still; that of one that was removed is gone.
		_ = w.control(func(fd int) error {
			_, err := unix.InotifyRmWatch(fd, uint32(wd))
			return err
		})
	}
}

// below says whether path is dir or something in it.
func below(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
