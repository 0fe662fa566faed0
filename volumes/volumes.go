// Package volumes keeps the named volumes of one host: directories that
// outlive the containers that use them.
package volumes

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"compose/internal/fault"
	"compose/internal/filelock"
	"compose/internal/filetree"
	"compose/internal/journal"
	"compose/internal/objectname"
	"compose/internal/roots"
	"compose/internal/statefile"
)

// Volume is one volume as kept in <state>/volumes/<name>/volume.json. Its
// files are in <state>/volumes/<name>/_data.
type Volume struct {
	Version int               `json:"version"`
	Name    string            `json:"name"`
	Driver  string            `json:"driver"`
	Options map[string]string `json:"options,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Created time.Time         `json:"created"`
}

// Config asks for a volume.
type Config struct {
	Name    string
	Driver  string // "" and "local" are the same
	Options map[string]string
	Labels  map[string]string
}

// NotFoundError says that there is no such volume.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string { return "no such volume: " + e.Name }

// Is lets errors.Is match fs.ErrNotExist.
func (e *NotFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// InUseError says that containers need a volume.
type InUseError struct {
	Name string
	By   []string
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("remove %s: volume is in use - [%s]", e.Name, strings.Join(e.By, ", "))
}

// Store is the volumes of one root.
type Store struct {
	roots roots.Roots
	dir   string
}

// Open returns the store of a root. It reads nothing yet.
func Open(r roots.Roots) *Store { return &Store{roots: r, dir: r.Volumes()} }

// happened writes down an event of a volume.
func (s *Store) happened(action, name string) {
	journal.Add(s.roots, "volume", action, name, map[string]string{"driver": "local"})
}

func (s *Store) record(name string) string { return filepath.Join(s.dir, name, "volume.json") }

// Path is the directory with the volume's files.
func (s *Store) Path(name string) string { return filepath.Join(s.dir, name, "_data") }

func (s *Store) lockPath() string { return filepath.Join(s.dir, ".lock") }

func (s *Store) lock() (*filelock.Lock, error) { return filelock.Exclusive(s.lockPath()) }

// trashPrefix begins the name of a volume that is being removed.
const trashPrefix = ".trash-"

// Create makes a volume, or returns the one that exists.
func (s *Store) Create(c Config) (*Volume, error) {
	if !objectname.Valid(c.Name) || len(c.Name) > 255 {
		return nil, fmt.Errorf("%q includes invalid characters for a volume name: only letters, digits, '_', '.' and '-' are allowed", c.Name)
	}
	if c.Driver != "" && c.Driver != "local" {
		return nil, fmt.Errorf("volume %s: the driver %q is not supported, use \"local\"", c.Name, c.Driver)
	}
	for key := range c.Options {
		if key != "type" && key != "o" && key != "device" {
			return nil, fmt.Errorf("volume %s: invalid option: %q, the local driver knows type, o and device", c.Name, key)
		}
	}
	lock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	if v, err := s.Get(c.Name); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	s.sweep()
	err = os.MkdirAll(s.Path(c.Name), 0o755)
	if err == nil {
		err = os.Chmod(s.Path(c.Name), 0o755) // whatever our umask
	}
	if err != nil {
		s.sweep()
		return nil, fmt.Errorf("make the volume %s: %w", c.Name, err)
	}
	fault.Point("volumes: directory made")
	v := &Volume{Version: recordVersion, Name: c.Name, Driver: "local", Options: c.Options, Labels: c.Labels, Created: time.Now().UTC()}
	// The record last: without it the directory is none of a volume.
	if err := statefile.WriteJSON(s.record(c.Name), v); err != nil {
		s.sweep() // the directory
		return nil, fmt.Errorf("make the volume %s: %w", c.Name, err)
	}
	if err := statefile.SyncDir(s.dir); err != nil {
		return nil, fmt.Errorf("make the volume %s: %w", c.Name, err)
	}
	s.happened("create", c.Name)
	return v, nil
}

// recordVersion is the format of a volume's record.
const recordVersion = 1

// Get returns a volume, or *NotFoundError.
func (s *Store) Get(name string) (*Volume, error) {
	if !objectname.Valid(name) {
		return nil, &NotFoundError{name}
	}
	var v Volume
	err := statefile.ReadVersioned(s.record(name), &v, &v.Version, recordVersion)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NotFoundError{name}
	}
	var damaged *statefile.CorruptError
	if errors.As(err, &damaged) {
		_ = damaged.SetAside() // whoever asks for the volume next makes the record anew; its files stay
		return nil, damaged
	}
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// List returns all volumes by name.
func (s *Store) List() ([]*Volume, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var list []*Volume
	for _, e := range entries {
		v, err := s.Get(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list, nil
}

// Remove deletes a volume with all it holds. The caller has made sure that no
// container uses it.
func (s *Store) Remove(name string) error {
	lock, err := s.lock()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if _, err := s.Get(name); err != nil {
		return err
	}
	s.sweep()
	// Out of sight first: a volume that is half deleted is no volume.
	// Renaming alone, which a full disk allows.
	trash := filepath.Join(s.dir, fmt.Sprintf("%s%d", trashPrefix, time.Now().UnixNano()))
	if err := os.Rename(filepath.Join(s.dir, name), trash); err != nil {
		return err
	}
	s.happened("destroy", name)
	fault.Point("volumes: out of sight")
	if err := statefile.SyncDir(s.dir); err != nil {
		return err
	}
	if err := os.RemoveAll(trash); err != nil {
		return fmt.Errorf("delete the files of volume %s: %w", name, err)
	}
	return nil
}

// Sweep clears away what killed processes have left. It does nothing while
// somebody makes, fills or removes a volume.
func (s *Store) Sweep() {
	entries, _ := os.ReadDir(s.dir)
	if !slices.ContainsFunc(entries, s.left) {
		return
	}
	lock, err := filelock.TryExclusive(s.lockPath())
	if err != nil {
		return
	}
	defer lock.Unlock()
	s.sweep()
}

// left says whether a name is that of a volume that is half removed or half
// made.
func (s *Store) left(e fs.DirEntry) bool {
	_, err := os.Lstat(s.record(e.Name()))
	return strings.HasPrefix(e.Name(), trashPrefix) || e.IsDir() && errors.Is(err, fs.ErrNotExist)
}

// sweep clears away what killed processes have left: volumes half removed, and
// those half made, if they hold nothing. The caller holds the lock.
func (s *Store) sweep() {
	entries, _ := os.ReadDir(s.dir)
	for _, e := range entries {
		dir := filepath.Join(s.dir, e.Name())
		switch {
		case !s.left(e):
		case strings.HasPrefix(e.Name(), trashPrefix):
			_ = os.RemoveAll(dir) // what stays is swept by the next
		default:
			statefile.Sweep(dir)
			_ = os.Remove(s.Path(e.Name())) // not where it has files: somebody may want them
			_ = os.Remove(dir)
		}
	}
}

// MountSource says what a container mounts for a volume: a directory to bind,
// or with driver options a file system of the given type.
func (s *Store) MountSource(v *Volume) (source, fstype, options string) {
	if v.Options["device"] == "" {
		return s.Path(v.Name), "bind", ""
	}
	kind := v.Options["type"]
	for _, o := range strings.Split(v.Options["o"], ",") {
		if o == "bind" || o == "rbind" {
			kind = "bind"
		}
	}
	return v.Options["device"], kind, v.Options["o"]
}

// Empty says whether the volume has no files.
func (s *Store) Empty(name string) (bool, error) {
	d, err := os.Open(s.Path(name))
	if err != nil {
		return false, err
	}
	defer d.Close()
	_, err = d.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// CopyUp fills an empty volume with the files of an image's directory: owner,
// mode, times, attributes, links and hard links kept. from is an open
// descriptor of that directory. A volume that has files stays as it is.
func (s *Store) CopyUp(name string, from int) error {
	lock, err := s.lock()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	empty, err := s.Empty(name)
	if err != nil || !empty {
		return err
	}
	// Into a directory beside it first, so that a crash leaves the volume empty
	// and the next container fills it.
	left, _ := filepath.Glob(filepath.Join(s.dir, name, ".copy-*"))
	for _, dir := range left {
		_ = os.RemoveAll(dir) // of one that was killed
	}
	tmp, err := os.MkdirTemp(filepath.Join(s.dir, name), ".copy-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	to, err := unix.Open(tmp, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(to)
	if err := filetree.Copy(from, to); err != nil {
		return fmt.Errorf("fill the volume %s from the image: %w", name, err)
	}
	if err := unix.Syncfs(to); err != nil {
		return err
	}
	fault.Point("volumes: copied")
	// Not os.Rename, which takes no empty directory for a target.
	if err := unix.Rename(tmp, s.Path(name)); err != nil {
		return err
	}
	fault.Point("volumes: filled")
	return statefile.SyncDir(filepath.Dir(tmp))
}
