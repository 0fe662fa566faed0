package engine

import (
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"

	"compose/internal/statefile"
)

// ahead holds records of containers that were read before anybody asked for
// them.
type ahead struct{ records sync.Map } // path -> aheadRecord

type aheadRecord struct {
	file  fs.FileInfo // before it was read
	value any
}

// ReadAhead reads what is on record of all containers, for a command that will
// ask for it and has something else to do until then. A record that has
// been replaced meanwhile is read again when it is asked for.
func (e *Engine) ReadAhead() {
	entries, err := os.ReadDir(e.roots.Containers())
	if err != nil {
		return // who asks will be told
	}
	for _, entry := range entries {
		if id := entry.Name(); !strings.HasPrefix(id, ".") {
			var c Container
			e.ahead.read(e.configPath(id), &c, &c.Version)
			s := State{Status: Created}
			e.ahead.read(e.statePath(id), &s, &s.Version)
		}
	}
}

// readOnce is a container as it is on record, perhaps read ahead.
func (e *Engine) readOnce(id string) (*Container, error) {
	if c, ok := e.ahead.take(e.configPath(id)).(*Container); ok {
		return c, nil
	}
	return e.read(id)
}

// stateOnce is a state as it is on record, perhaps read ahead.
func (e *Engine) stateOnce(id string) (*State, error) {
	if s, ok := e.ahead.take(e.statePath(id)).(*State); ok {
		return s, nil
	}
	return e.StateOnRecord(id)
}

func (a *ahead) read(path string, value any, version *int) {
	file, err := os.Lstat(path)
	if err != nil || statefile.ReadVersioned(path, value, version, formatVersion) != nil {
		return
	}
	a.records.Store(path, aheadRecord{file, value})
}

// take returns a record that was read ahead, once, or nil. A file of records
// never changes, another takes its place: the record is good as long as the file
// is the same.
func (a *ahead) take(path string) any {
	found, ok := a.records.LoadAndDelete(path)
	if !ok {
		return nil
	}
	r := found.(aheadRecord)
	now, err := os.Lstat(path)
	if err != nil || !sameFile(r.file, now) {
		return nil
	}
	return r.value
}

// sameFile says whether a file is still the one that it was. The number of an
// inode may be given out again; the time at which that was done tells.
func sameFile(was, is fs.FileInfo) bool {
	return os.SameFile(was, is) && was.Size() == is.Size() &&
		was.Sys().(*syscall.Stat_t).Ctim == is.Sys().(*syscall.Stat_t).Ctim
}
