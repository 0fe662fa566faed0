// Package rawfile reads and opens files with few system calls. Those of package
// os are made for what one can wait for: each is offered to the poller and made
// to block again, which is six calls around the three that a small file on disk or
// in /proc asks for, and half the time of a command that reads some hundred of
// them.
package rawfile

import (
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// first is how much is read at once to begin with, in bytes: more than most
// files have that this package is for.
const first = 4096

// Read is os.ReadFile: it returns what is in a file, and *fs.PathError where it
// cannot be read. It blocks a thread, not only the caller, until that is done.
func Read(path string) ([]byte, error) { return Append(make([]byte, 0, first), path) }

// Append is Read behind what is in data, for who has room from before.
func Append(data []byte, path string) ([]byte, error) {
	fd, err := open(path, unix.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	for {
		if len(data) == cap(data) {
			data = slices.Grow(data, max(len(data), first))
		}
		n, err := again(func() (int, error) { return unix.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 { // a short read is no end in /proc
			return data, nil
		}
		data = data[:len(data)+n]
	}
}

// Open is os.OpenFile for a file that nobody waits for, as one on a disk.
func Open(path string, flags int, mode uint32) (*os.File, error) {
	fd, err := open(path, flags, mode)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

func open(path string, flags int, mode uint32) (int, error) {
	fd, err := again(func() (int, error) { return unix.Open(path, flags|unix.O_CLOEXEC, mode) })
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// again does what a signal has interrupted.
func again(call func() (int, error)) (n int, err error) {
	for err = unix.EINTR; err == unix.EINTR; {
		n, err = call()
	}
	return n, err
}
