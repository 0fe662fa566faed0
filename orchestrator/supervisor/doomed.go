package supervisor

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The end of a container that is removed next need not come to the disk before,
// nor need what it has written: its directory is deleted. But the kernel writes
// out the whole file system that an overlay's upper directory is on when it
// unmounts the overlay, and has the container's last process wait for that. So
// such a container's root is kept in use until its files are gone.

// doom prepares a run for the removal of its container. The caller holds the
// container's mu.
func (r *run) doom() {
	r.doomed = true
	if r.files != nil {
		return
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/root", r.PID), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return // it has ended
	}
	if unix.PidfdSendSignal(int(r.PIDFD.Fd()), 0, nil, 0) != nil {
		unix.Close(fd) // the number may be another's by now
		return
	}
	r.files = os.NewFile(uintptr(fd), "root")
}

// spare lets go what is kept of a doomed run, before another run of the
// container can have anything there. The caller holds c.mu.
func (c *container) spare(r *run) {
	if !r.doomed {
		return
	}
	r.doomed = false
	if r.files != nil {
		r.files.Close()
		r.files = nil
	}
	c.s.link.Drop(c.id)
}

// An unmount also writes out what others have just written, their files too
// that are about to be deleted. So it waits until no more removals follow, or
// until there is nothing else to do.
type unmounts struct {
	mu    sync.Mutex
	roots []*os.File
	timer *time.Timer
}

// nextRemoval is for how long after a removal another one may follow.
const nextRemoval = time.Second

// unmount lets a container's root go, after everything else. It may be nil.
func (s *supervisor) unmount(root *os.File) {
	if root == nil {
		return
	}
	u := &s.unmounts
	u.mu.Lock()
	defer u.mu.Unlock()
	u.roots = append(u.roots, root)
	if u.timer == nil {
		u.timer = time.AfterFunc(nextRemoval, u.all)
	} else {
		u.timer.Reset(nextRemoval)
	}
}

// all lets go what has been kept until now.
func (u *unmounts) all() {
	u.mu.Lock()
	roots := u.roots
	u.roots = nil
	u.mu.Unlock()
	for _, root := range roots { // one after the other: fifty would need fifty threads
		root.Close()
	}
}
