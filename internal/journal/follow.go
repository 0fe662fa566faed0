package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"compose/internal/roots"
)

// Follow calls emit for the events from since on, until ctx ends, until has
// come or emit fails. A zero since is now, a zero until never.
func Follow(ctx context.Context, r roots.Roots, since, until time.Time, emit func(Event) error) error {
	return follow(ctx, Dir(r), since, until, emit)
}

func follow(ctx context.Context, dir string, since, until time.Time, emit func(Event) error) error {
	if since.IsZero() {
		since = time.Now()
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// Before the first look, or what comes between the two wakes nobody.
	changes, err := watch(dir)
	if err != nil {
		return err
	}
	defer changes.Close()
	if err := changes.SetReadDeadline(until); err != nil { // a zero one is none
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = changes.SetReadDeadline(time.Unix(1, 0)) })()
	lines := &reader{dir: dir}
	defer lines.close()
	buf := make([]byte, 4096)
	for last := false; ; {
		err := lines.lines(func(e Event) error {
			if e.Time.Before(since) || !until.IsZero() && e.Time.After(until) {
				return nil
			}
			return emit(e)
		})
		if err != nil || last || ctx.Err() != nil {
			return err
		}
		// What the kernel says of the change does not matter.
		if _, err = changes.Read(buf); errors.Is(err, os.ErrDeadlineExceeded) {
			last = true
		} else if err != nil {
			return err
		}
	}
}

// watch returns a file that has something to read when the directory's files
// have changed.
func watch(dir string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch for events: %w; fs.inotify.max_user_instances may be too low", err)
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MODIFY|unix.IN_ONLYDIR); err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "watch", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), "inotify"), nil
}
