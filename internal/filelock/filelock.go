// Package filelock takes advisory locks on files with flock(2). The kernel
// drops a lock when its holder dies, so a crash never leaves one behind.
package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"compose/internal/rawfile"
)

// ErrHeld says that another process (or another Lock of this one) holds the lock.
var ErrHeld = errors.New("lock is held by another process")

// Lock is one held lock; it is released by Unlock or by the death of the process.
type Lock struct{ f *os.File }

// Exclusive waits for the exclusive lock on path, which is created if need be.
func Exclusive(path string) (*Lock, error) { return take(path, unix.LOCK_EX) }

// Shared waits for a shared lock on path, which is created if need be.
func Shared(path string) (*Lock, error) { return take(path, unix.LOCK_SH) }

// TryExclusive is Exclusive without the wait: it returns ErrHeld at once.
func TryExclusive(path string) (*Lock, error) { return take(path, unix.LOCK_EX|unix.LOCK_NB) }

func take(path string, how int) (*Lock, error) {
	f, err := rawfile.Open(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			f, err = rawfile.Open(path, os.O_RDWR|os.O_CREATE, 0o600)
		}
	}
	if err != nil {
		return nil, err
	}
	l, err := flock(f, how)
	if err != nil {
		f.Close()
	}
	return l, err
}

// TryFile is TryExclusive on a file that is open already. It stays open where
// the lock is held, for another attempt: opening and closing it each time
// would wake those who watch it.
func TryFile(f *os.File) (*Lock, error) { return flock(f, unix.LOCK_EX|unix.LOCK_NB) }

// ShareFile waits for a shared lock on a file or directory that is open already.
func ShareFile(f *os.File) (*Lock, error) { return flock(f, unix.LOCK_SH) }

func flock(f *os.File, how int) (*Lock, error) {
	for {
		switch err := unix.Flock(int(f.Fd()), how); err {
		case nil:
			return &Lock{f: f}, nil
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return nil, ErrHeld
		default:
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// File is the locked file, for handing the lock to another process.
func (l *Lock) File() *os.File { return l.f }

// Drop is Unlock at once, even where a child that is about to execute its
// program holds a copy of the file: whoever shares the lock loses it too.
func (l *Lock) Drop() {
	if l != nil {
		_ = unix.Flock(int(l.f.Fd()), unix.LOCK_UN)
		l.f.Close()
	}
}

// Unlock releases the lock. It is safe to call on nil.
func (l *Lock) Unlock() {
	if l != nil {
		l.f.Close()
	}
}
