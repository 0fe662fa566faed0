package logs

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// notifier is the process's one inotify instance: the kernel allows a user
// few of them, and thousands of watches on each.
type notifier struct {
	mu   sync.Mutex
	f    *os.File // nil until needed
	subs map[int32]map[*subscription]bool
}

var shared = notifier{subs: map[int32]map[*subscription]bool{}}

// subscription gets a value in c after each change in a directory, several
// changes at once counting as one; c is closed once the directory is removed.
type subscription struct {
	c      chan struct{}
	wd     int32
	closed bool
}

// subscribe watches the directory of path.
func subscribe(path string) (*subscription, error) {
	n := &shared
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.f == nil {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil {
			return nil, fmt.Errorf("watch for changes: %w; fs.inotify.max_user_instances may be too low", err)
		}
		n.f = os.NewFile(uintptr(fd), "inotify")
		go n.loop(n.f)
	}
	raw, err := n.f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var wd int
	var addErr error
	if err := raw.Control(func(fd uintptr) {
		wd, addErr = unix.InotifyAddWatch(int(fd), filepath.Dir(path), unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_DELETE|unix.IN_DELETE_SELF|unix.IN_ONLYDIR)
	}); err != nil {
		return nil, err
	}
	if addErr != nil {
		return nil, &os.PathError{Op: "watch", Path: filepath.Dir(path), Err: addErr}
	}
	s := &subscription{c: make(chan struct{}, 1), wd: int32(wd)}
	if n.subs[s.wd] == nil {
		n.subs[s.wd] = map[*subscription]bool{}
	}
	n.subs[s.wd][s] = true
	return s, nil
}

func (s *subscription) close() {
	n := &shared
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	delete(n.subs[s.wd], s)
	if len(n.subs[s.wd]) > 0 {
		return
	}
	delete(n.subs, s.wd)
	if raw, err := n.f.SyscallConn(); err == nil {
		// The directory may be gone, and the watch with it.
		_ = raw.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(s.wd)) })
	}
}

func (n *notifier) loop(f *os.File) {
	buf := make([]byte, 16<<10)
	for {
		size, err := f.Read(buf)
		if err != nil {
			return
		}
		n.mu.Lock()
		for b := buf[:size]; len(b) >= unix.SizeofInotifyEvent; {
			wd := int32(binary.NativeEndian.Uint32(b))
			mask := binary.NativeEndian.Uint32(b[4:])
			b = b[unix.SizeofInotifyEvent+int(binary.NativeEndian.Uint32(b[12:])):]
			n.tell(wd, mask)
		}
		n.mu.Unlock()
	}
}

func (n *notifier) tell(wd int32, mask uint32) {
	if mask&unix.IN_Q_OVERFLOW != 0 {
		for _, subs := range n.subs {
			wake(subs)
		}
		return
	}
	if mask&(unix.IN_IGNORED|unix.IN_DELETE_SELF) == 0 {
		wake(n.subs[wd])
		return
	}
	for s := range n.subs[wd] {
		s.closed = true
		close(s.c)
	}
	delete(n.subs, wd)
}

func wake(subs map[*subscription]bool) {
	for s := range subs {
		select {
		case s.c <- struct{}{}:
		default:
		}
	}
}
