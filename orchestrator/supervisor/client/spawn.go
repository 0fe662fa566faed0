package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"compose/internal/fault"
	"compose/internal/filelock"
	"compose/internal/roots"
	"compose/internal/trace"
	"compose/orchestrator/keeper"
	"compose/orchestrator/supervisor/api"
)

// ensure starts the project's supervisor unless it runs. Of several callers
// one does it and the others wait.
func ensure(ctx context.Context, r roots.Roots, project string) error {
	defer trace.Begin("start the supervisor", project).End()
	lock, err := filelock.Exclusive(api.SpawnLock(r, project))
	if err != nil {
		return err
	}
	defer lock.Unlock()
	for try := 0; ; try++ {
		held, err := await(ctx, r, project)
		if held == nil || err != nil {
			return err
		}
		err = spawn(r, project, held)
		held.Unlock()
		// Where it was the supervisor that ended, its keeper has the lock and
		// starts another: a second pair would adopt the same containers.
		if !errors.Is(err, keeper.ErrGone) || try == 2 {
			return failed(r, project, err)
		}
	}
}

// Attended says that a project has a keeper or a supervisor.
func Attended(r roots.Roots, project string) bool {
	file, err := os.OpenFile(api.Lock(r, project), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	lock, err := filelock.TryFile(file)
	if err != nil {
		file.Close()
	}
	lock.Unlock()
	return errors.Is(err, filelock.ErrHeld)
}

// Abandoned says that a project had a keeper since the host has started and has
// none now: it left when there was nothing to do, or it was killed together
// with its supervisor. It waits for those that are just coming or going.
func Abandoned(ctx context.Context, r roots.Roots, project string) bool {
	file, err := os.OpenFile(api.Lock(r, project), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	lock, err := filelock.TryFile(file)
	if err == nil {
		lock.Unlock()
		return true
	}
	file.Close()
	conn, err := (&Client{roots: r, project: project}).dial(ctx)
	if err == nil {
		conn.Close()
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return errors.Is(err, ErrNotRunning) && errors.Is(join(ctx, r, project), ErrNotRunning)
}

// join waits for the supervisor that a keeper is about to start, and says
// ErrNotRunning where there is neither.
func join(ctx context.Context, r roots.Roots, project string) error {
	if _, err := os.Stat(api.Lock(r, project)); err != nil {
		return ErrNotRunning
	}
	held, err := await(ctx, r, project)
	if held != nil {
		held.Unlock()
		return ErrNotRunning
	}
	return err
}

// await returns once the project's supervisor listens or, with the lock, once
// there is neither a supervisor nor a keeper that would start one.
func await(ctx context.Context, r roots.Roots, project string) (*filelock.Lock, error) {
	file, err := os.OpenFile(api.Lock(r, project), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if lock, err := tryBoth(ctx, r, project, file); !errors.Is(err, filelock.ErrHeld) {
		return lock, err
	}
	changes, err := watch(r.RunProject(project))
	if err != nil {
		file.Close()
		return nil, err
	}
	defer changes.Close()
	defer context.AfterFunc(ctx, func() { _ = changes.SetReadDeadline(time.Now()) })()
	for buf := make([]byte, 4096); ; {
		if lock, err := tryBoth(ctx, r, project, file); !errors.Is(err, filelock.ErrHeld) {
			return lock, err
		}
		if _, err := changes.Read(buf); err != nil {
			file.Close()
			return nil, cmp.Or(ctx.Err(), err)
		}
	}
}

// tryBoth returns nil if the supervisor listens, the lock if there is none,
// and filelock.ErrHeld if there will be one. Only then the file stays open.
func tryBoth(ctx context.Context, r roots.Roots, project string, file *os.File) (*filelock.Lock, error) {
	conn, err := (&Client{roots: r, project: project}).dial(ctx)
	if errors.Is(err, ErrNotRunning) {
		lock, err := filelock.TryFile(file)
		if err != nil && !errors.Is(err, filelock.ErrHeld) {
			file.Close()
		}
		return lock, err
	}
	file.Close()
	if err != nil {
		return nil, err
	}
	return nil, conn.Close()
}

// watch tells of what may mean that the supervisor has come (its socket) or
// that it and its keeper have died (they close the file with the lock).
func watch(dir string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch for the supervisor: %w", err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "watch", Path: dir, Err: err}
	}
	return f, nil
}

// spawn has a keeper and a supervisor, detached from us, take the project and
// waits until the supervisor listens. They hold the lock from then on.
func spawn(r roots.Roots, project string, lock *filelock.Lock) error {
	if err := os.MkdirAll(r.Project(project), 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(api.Log(r, project), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	order := keeper.Order{State: r.State, Run: r.Run, Project: project, Trace: trace.Path()}
	pair := keeper.Early()
	if pair == nil {
		if pair, err = keeper.Start(); err != nil {
			return err
		}
	}
	return pair.Order(order, lock.File(), log)
}

func failed(r roots.Roots, project string, err error) error {
	switch {
	case errors.Is(err, keeper.ErrGone):
		return fmt.Errorf("the supervisor of project %s did not come up; see %s", project, api.Log(r, project))
	case err != nil:
		return fmt.Errorf("start the supervisor of project %s: %w", project, err)
	}
	fault.Point("client: keeper started")
	return nil
}
