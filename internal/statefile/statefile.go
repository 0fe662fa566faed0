// Package statefile reads and writes the JSON files that hold the state of
// every object: one file an object, replaced as a whole, never edited in place.
package statefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	slashpath "path" // path/filepath initialises after the heavy libraries
	"reflect"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"compose/internal/fault"
	"compose/internal/rawfile"
	"compose/internal/sparsejson"
	"compose/internal/trace"
	"compose/internal/turns"
)

// CorruptError says that a state file exists but cannot be understood.
type CorruptError struct {
	Path  string
	Err   error
	Aside string      // where it was put, if it was
	Info  os.FileInfo // the file that was read
}

func (e *CorruptError) Error() string {
	if e.Aside != "" {
		return fmt.Sprintf("state file %s is damaged (%v); it is %s now: run the command again", e.Path, e.Err, slashpath.Base(e.Aside))
	}
	return fmt.Sprintf("state file %s is damaged (%v); move it away and run the command again", e.Path, e.Err)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// NewerError says that a state file was written in a format that a later
// version of compose has brought.
type NewerError struct {
	Path          string
	Format, Known int
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("state file %s was written by a newer version of compose (format %d, this one knows %d): use that version, or another --root", e.Path, e.Format, e.Known)
}

// WriteJSON replaces path with the JSON form of v so that a reader, also one
// after a crash or a power loss, sees the old content or the new and nothing
// between: temp file, fsync, rename, fsync of the directory. The file is
// created with mode 0600.
func WriteJSON(path string, v any) error {
	data, err := encode(path, v)
	if err != nil {
		return err
	}
	return Write(path, data, 0o600)
}

// WriteBootJSON is WriteJSON for a file that means nothing after a power loss,
// as what it describes is gone then too: it is not fsynced. Only one may write
// the file at a time.
func WriteBootJSON(path string, v any) error {
	data, err := encode(path, v)
	if err != nil {
		return err
	}
	tmp := slashpath.Join(slashpath.Dir(path), "."+slashpath.Base(path)+".tmp-boot")
	fd, err := unix.Open(tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	n, err := unix.Write(fd, data)
	unix.Close(fd)
	if err == nil && n < len(data) {
		err = unix.ENOSPC
	}
	if err == nil {
		// Where one file takes the place of another, ext4 begins to write it out,
		// and its blocks are given back to the device when it is deleted: a
		// millisecond. Where the two change names it does not.
		if unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE) == nil {
			_ = unix.Unlink(tmp) // the next writer makes it empty
			return nil
		}
		err = unix.Rename(tmp, path)
	}
	if err != nil {
		_ = unix.Unlink(tmp)
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// encode is the content of a file that holds v.
func encode(path string, v any) ([]byte, error) {
	data, err := sparsejson.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", path, err)
	}
	return append(data, '\n'), nil
}

// Write replaces path with data under the same promise as WriteJSON.
func Write(path string, data []byte, mode fs.FileMode) error {
	defer trace.Begin("write durably", path).End()
	fault.Point("statefile: before the write")
	r, err := prepare(path, data, mode)
	if err != nil {
		return err
	}
	return r.Put()
}

// Ready is what a file is to be next: it is on the disk, beside it.
type Ready struct {
	path, tmp string
	data      []byte
}

// Prepare does all of WriteJSON that a reader does not see, and that takes long. Put
// or Drop does the rest.
func Prepare(path string, v any) (*Ready, error) {
	defer trace.Begin("write durably", path).End()
	data, err := encode(path, v)
	if err != nil {
		return nil, err
	}
	return prepare(path, data, 0o600)
}

func prepare(path string, data []byte, mode fs.FileMode) (*Ready, error) {
	f, err := os.CreateTemp(slashpath.Dir(path), "."+slashpath.Base(path)+".tmp-*")
	if err != nil {
		return nil, err
	}
	r := &Ready{path, f.Name(), data}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	fault.Point("statefile: before the rename")
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		r.Drop()
		return nil, err
	}
	return r, nil
}

// Holds says whether that is what WriteJSON would write for v.
func (r *Ready) Holds(v any) bool {
	data, err := encode(r.path, v)
	return err == nil && bytes.Equal(data, r.data)
}

// Put replaces the file. It returns an error that matches fs.ErrNotExist where Sweep
// has come in between.
func (r *Ready) Put() error {
	if err := os.Rename(r.tmp, r.path); err != nil {
		r.Drop()
		return err
	}
	fault.Point("statefile: after the rename")
	return SyncDir(slashpath.Dir(r.path))
}

// Drop takes it away.
func (r *Ready) Drop() { os.Remove(r.tmp) }

// Sweep deletes the temporary files that writers have left in dir who were
// killed. The caller holds the lock under which files there are written.
func Sweep(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") && strings.Contains(e.Name(), ".tmp-") || lostDraft(dir, e.Name()) {
			_ = os.Remove(slashpath.Join(dir, e.Name())) // what stays is swept by the next
		}
	}
}

// ReadJSON decodes path into v. It returns an error that matches
// fs.ErrNotExist where there is no such file, and *CorruptError where the file
// is not the JSON that v asks for.
func ReadJSON(path string, v any) error {
	room := rooms.Get().(*[]byte)
	defer rooms.Put(room)
	data, err := rawfile.Append((*room)[:0], path)
	if err != nil {
		return err
	}
	*room = data
	if err := sparsejson.Unmarshal(data, v); err != nil {
		return &CorruptError{Path: path, Err: err}
	}
	return nil
}

// rooms are what files are read into, one after the other: nothing of what is
// decoded stays there.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// ReadVersioned is ReadJSON for a file whose field "version", in v at version,
// says its format. A format beyond known gives *NewerError, whatever else is in
// the file. A damaged file with a copy is set aside, and the copy taken.
func ReadVersioned(path string, v any, version *int, known int) error {
	was := *version
	*version = 0
	err := ReadJSON(path, v)
	if err == nil && *version >= 1 && *version <= known {
		return nil
	}
	var damaged *CorruptError
	if err != nil && !errors.As(err, &damaged) {
		*version = was
		return err
	}
	return readBad(path, v, version, known)
}

// readBad reads a file that is not as it should be, and knows it from one that
// takes its place meanwhile.
func readBad(path string, v any, version *int, known int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	reflect.ValueOf(v).Elem().SetZero() // of what could be read
	err = sparsejson.Unmarshal(data, v)
	format := *version
	if err != nil { // a later format may have other types
		var head struct {
			Version int `json:"version"`
		}
		_ = json.Unmarshal(data, &head) // what is damaged has none
		format = head.Version
	}
	if format > known {
		return &NewerError{Path: path, Format: format, Known: known}
	}
	if err == nil && format < 1 {
		err = errors.New("it does not say its format")
	}
	if err == nil { // somebody has mended it
		return nil
	}
	damaged := &CorruptError{Path: path, Err: err}
	if damaged.Info, err = f.Stat(); err != nil {
		return err
	}
	if fromCopy(damaged, v, version, known) {
		return nil
	}
	return damaged
}

// Boot tells this boot of the machine from any other: what was written in it
// is there, fsynced or not.
var Boot = sync.OnceValue(func() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(data))
})

// MkdirAll makes a directory and those above it that are missing, all with a
// durable name.
func MkdirAll(dir string, mode fs.FileMode) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	above := slashpath.Dir(dir)
	if above != dir {
		if err := MkdirAll(above, mode); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(above)
}

// names are the syncs of directories. Fifty containers are made at once, and
// all have their names in one directory.
var names turns.Group

// SyncDir makes the names in dir durable. A directory that has gone away in
// the meantime has nothing left to make durable, so that is no error.
func SyncDir(dir string) error {
	defer trace.Begin("sync the directory", dir).End()
	return names.Do(dir, func() error {
		d, err := os.Open(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer d.Close()
		return d.Sync()
	})
}
