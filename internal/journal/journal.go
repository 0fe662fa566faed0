// Package journal keeps what happened to the containers, networks, volumes and
// images of an installation, for those who ask for events. It is a file that
// all processes of ours append to, so that nothing is missed while nobody
// listens and no daemon is needed to listen to.
package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"compose/internal/filelock"
	"compose/internal/rawfile"
	"compose/internal/roots"
	"compose/internal/sparsejson"
	"compose/internal/turns"
)

// Event is something that happened.
type Event struct {
	Time       time.Time         `json:"time"`
	Type       string            `json:"type"`   // "container", "network", "volume" or "image"
	Action     string            `json:"action"` // "start", "die", "health_status: healthy", ...
	ID         string            `json:"id"`
	Attributes map[string]string `json:"attributes,omitempty"` // of a container also its labels
}

// The events are in the file "now", one JSON object a line. When it has grown
// to sizeLimit it becomes "past", in place of what was that before.
const (
	nowName   = "now"
	pastName  = "past"
	lockName  = "lock"
	sizeLimit = 1 << 20
)

// Dir is where the journal of an installation lies: it does not survive a reboot.
func Dir(r roots.Roots) string { return filepath.Join(r.Run, "events") }

// Add writes down an event of this moment. It returns nothing, because what it
// tells of has happened whether or not that can be written down.
func Add(r roots.Roots, kind, action, id string, attributes map[string]string) {
	AddAll(r, kind, []string{action}, id, attributes)
}

// AddAll writes down several events of one object, one after the other.
func AddAll(r roots.Roots, kind string, actions []string, id string, attributes map[string]string) {
	if r.Run == "" {
		return // a store without an installation around it
	}
	var events []Event
	for _, action := range actions {
		events = append(events, Event{Type: kind, Action: action, ID: id, Attributes: attributes})
	}
	_ = add(Dir(r), events)
}

// Fifty containers end at once: their events are written together.
var (
	writing turns.Group

	mu      sync.Mutex
	waiting = map[string][]Event{} // by directory
)

func add(dir string, events []Event) error {
	mu.Lock()
	waiting[dir] = append(waiting[dir], events...)
	mu.Unlock()
	return writing.Do(dir, func() error {
		mu.Lock()
		list := waiting[dir]
		delete(waiting, dir)
		mu.Unlock()
		if len(list) == 0 {
			return nil // the turn before has written it
		}
		return appendTo(dir, list)
	})
}

// appendTo writes events, in their order.
func appendTo(dir string, list []Event) error {
	lock, err := filelock.Exclusive(filepath.Join(dir, lockName))
	if err != nil {
		return err
	}
	defer lock.Unlock()
	now := filepath.Join(dir, nowName)
	f, err := rawfile.Open(now, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	var lines []byte
	if !endsLine(f, st.Size()) {
		lines = append(lines, '\n') // whoever wrote last was killed half-way
	}
	for _, e := range list {
		e.Time = time.Now().UTC() // under the lock: times are in the order of the lines
		line, err := sparsejson.Marshal(e)
		if err != nil {
			return err
		}
		lines = append(append(lines, line...), '\n')
	}
	if _, err := f.Write(lines); err != nil {
		return err
	}
	if st.Size() < sizeLimit {
		return nil
	}
	return os.Rename(now, filepath.Join(dir, pastName))
}

func endsLine(f *os.File, size int64) bool {
	if size == 0 {
		return true
	}
	var last [1]byte
	_, err := f.ReadAt(last[:], size-1)
	return err != nil || last[0] == '\n'
}

// reader reads the journal from one place on. It keeps its file open, and so
// finds the next one when that has got another name, or none.
type reader struct {
	dir string
	f   *os.File // nil: at the beginning of what there is
}

// lines calls emit for each line that has been added since the last call.
func (r *reader) lines(emit func(Event) error) error {
	data, err := r.read()
	if err != nil {
		return err
	}
	for line := range bytes.Lines(data) {
		var e Event
		if json.Unmarshal(line, &e) != nil {
			continue // half of one: its writer was killed
		}
		if err := emit(e); err != nil {
			return err
		}
	}
	return nil
}

// read returns what has been added, in whole lines: no one writes meanwhile.
func (r *reader) read() ([]byte, error) {
	lock, err := filelock.Shared(filepath.Join(r.dir, lockName))
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	var data []byte
	for {
		if r.f != nil {
			more, err := io.ReadAll(r.f)
			if err != nil {
				return nil, err
			}
			data = append(data, more...)
		}
		next, err := r.next()
		if next == "" || err != nil {
			return data, err
		}
		f, err := os.Open(filepath.Join(r.dir, next))
		if err != nil {
			return nil, err
		}
		r.close()
		r.f = f
	}
}

// next is the name of the file after the one that is being read; "" where that
// is the last.
func (r *reader) next() (string, error) {
	var ours fs.FileInfo
	if r.f != nil {
		var err error
		if ours, err = r.f.Stat(); err != nil {
			return "", err
		}
	}
	var names []string // those after ours
	for _, name := range []string{pastName, nowName} {
		st, err := os.Stat(filepath.Join(r.dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", err
		case ours != nil && os.SameFile(st, ours):
			names = nil
		default:
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	return names[0], nil
}

func (r *reader) close() {
	if r.f != nil {
		r.f.Close()
	}
}
