package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	slashpath "path"
	"reflect"

	"golang.org/x/sys/unix"

	"compose/internal/fault"
	"compose/internal/sparsejson"
	"compose/internal/trace"
)

// A damaged file is of use to nobody but its owner, who may want to look at it:
// it is set aside under a name of its own. Where what it said is nowhere else a
// copy is kept beside it, and takes its place.

// damagedSuffix is what a damaged file's name ends with.
const damagedSuffix = ".damaged"

var errReplaced = errors.New("it was replaced meanwhile")

func copyPath(path string) string {
	return slashpath.Join(slashpath.Dir(path), "."+slashpath.Base(path)+".copy")
}

// WriteKept is WriteJSON with a copy, for RemoveKept to remove. The copy is not
// fsynced: what a power loss damages is the copy, and not the file.
func WriteKept(path string, v any) error {
	data, err := encode(path, v)
	if err != nil {
		return err
	}
	if err := Write(path, data, 0o600); err != nil {
		return err
	}
	return os.WriteFile(copyPath(path), data, 0o600)
}

// CreateKept is WriteKept in a directory that nobody knows of yet. Where nobody
// looks no temporary file is needed, and the file and its name go to the disk
// side by side.
func CreateKept(path string, v any) error {
	defer trace.Begin("write durably", path).End()
	data, err := encode(path, v)
	if err != nil {
		return err
	}
	fault.Point("statefile: before the write")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	fault.Point("statefile: before the sync")
	named := make(chan error, 1)
	go func() { named <- SyncDir(slashpath.Dir(path)) }()
	err = f.Sync()
	if err := errors.Join(err, <-named); err != nil {
		return err
	}
	fault.Point("statefile: after the sync")
	return os.WriteFile(copyPath(path), data, 0o600)
}

// RemoveKept removes a file and its copy. There may be none.
func RemoveKept(path string) error {
	for _, p := range []string{copyPath(path), path} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// fromCopy reads the copy of a damaged file into v, and puts it in its place.
// ok says that there was one, undamaged, of a known format.
func fromCopy(damaged *CorruptError, v any, version *int, known int) (ok bool) {
	data, err := os.ReadFile(copyPath(damaged.Path))
	if err != nil {
		return false
	}
	reflect.ValueOf(v).Elem().SetZero() // of the half that could be read
	if sparsejson.Unmarshal(data, v) != nil || *version < 1 || *version > known {
		return false
	}
	if damaged.Replace(data) == nil { // or the next reader does
		fmt.Fprintf(os.Stderr, "state file %s was damaged (%v): it is %s now, and a copy has taken its place\n",
			damaged.Path, damaged.Err, slashpath.Base(damaged.Aside))
	}
	return true
}

// SetAside gives the file another name, and says so in the error from then on.
// A file that has come to its place since it was read stays there.
func (e *CorruptError) SetAside() error {
	aside := e.Path + damagedSuffix
	if now, err := os.Lstat(e.Path); err != nil || !os.SameFile(now, e.Info) {
		return errors.Join(errReplaced, err)
	}
	if err := os.Rename(e.Path, aside); err != nil {
		return err
	}
	if now, err := os.Lstat(aside); err == nil && !os.SameFile(now, e.Info) { // in between
		return errors.Join(errReplaced, unix.Renameat2(unix.AT_FDCWD, aside, unix.AT_FDCWD, e.Path, unix.RENAME_NOREPLACE))
	}
	e.Aside = aside
	return SyncDir(slashpath.Dir(aside))
}

// Replace puts data in the place of the file, which is set aside: at no time is
// there none. A file that has come to its place since it was read stays there.
func (e *CorruptError) Replace(data []byte) error {
	dir, base := slashpath.Split(e.Path)
	early := fmt.Sprintf("%s.%s.tmp-%d", dir, base, os.Getpid())
	defer os.Remove(early)
	if err := Write(early, data, 0o600); err != nil {
		return err
	}
	exchange := func() error {
		return unix.Renameat2(unix.AT_FDCWD, early, unix.AT_FDCWD, e.Path, unix.RENAME_EXCHANGE)
	}
	if err := exchange(); err != nil {
		return &fs.PathError{Op: "replace", Path: e.Path, Err: err}
	}
	if was, err := os.Lstat(early); err != nil || !os.SameFile(was, e.Info) {
		return errors.Join(errReplaced, exchange())
	}
	e.Aside = e.Path + damagedSuffix
	if err := os.Rename(early, e.Aside); err != nil {
		return err
	}
	return SyncDir(dir)
}
