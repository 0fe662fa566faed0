package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"compose/internal/fault"
	"compose/internal/filelock"
	"compose/internal/objectname"
	"compose/internal/statefile"
)

func validName(name string) bool { return objectname.Valid(name) && len(name) > 1 }

// NameTakenError says that another container has the name.
type NameTakenError struct{ Name, ID string }

func (e *NameTakenError) Error() string {
	return fmt.Sprintf("Conflict. The container name %q is already in use by container %q. You have to remove (or rename) that container to be able to reuse that name.", "/"+e.Name, e.ID)
}

// Names are files in containers/.names that hold the container's ID.
func (e *Engine) namePath(name string) string {
	return filepath.Join(e.roots.Containers(), ".names", name)
}

func (e *Engine) idOfName(name string) (string, bool) {
	if !validName(name) {
		return "", false
	}
	data, err := os.ReadFile(e.namePath(name))
	return string(data), err == nil && len(data) == 64
}

// claimName gives the name to a container. A claim of a container that does
// not exist was left by a crash and counts for nothing.
func (e *Engine) claimName(name, id string) error {
	lock, err := filelock.Exclusive(e.namesLock())
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if err := e.restoreNames(lock); err != nil {
		return err
	}
	if other, ok := e.idOfName(name); ok && other != id {
		if _, err := os.Stat(e.configPath(other)); err == nil {
			return &NameTakenError{name, other}
		}
		if _, err := os.Stat(e.newDir(other)); err == nil {
			return &NameTakenError{name, other} // being made by another process
		}
	}
	return e.writeName(name, id)
}

// writeName writes a claim. It is not fsynced, for the container's own record
// says the name too: see restoreNames.
func (e *Engine) writeName(name, id string) error {
	path := e.namePath(name)
	tmp := e.newNamePath()
	if err := os.WriteFile(tmp, []byte(id), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// namesLock is the file with the lock on the claims. In it is the boot of the
// machine in which all of them were there.
func (e *Engine) namesLock() string { return filepath.Join(e.roots.Containers(), ".names.lock") }

// namesAreWhole says that no claim was lost with the power.
func (e *Engine) namesAreWhole() bool {
	boot, err := os.ReadFile(e.namesLock())
	return err == nil && string(boot) == statefile.Boot()
}

// restoreNames makes, once a boot, the claims that a power loss has taken.
func (e *Engine) restoreNames(lock *filelock.Lock) error {
	if e.namesAreWhole() {
		return nil
	}
	if err := os.MkdirAll(e.namePath(""), 0o700); err != nil {
		return err
	}
	list, err := e.Containers(context.Background(), Filter{})
	if err != nil {
		return err
	}
	for _, c := range list {
		if err := e.writeName(c.Spec.Name, c.ID); err != nil {
			return err
		}
	}
	if err := lock.File().Truncate(0); err != nil {
		return err
	}
	_, err = lock.File().WriteAt([]byte(statefile.Boot()), 0)
	return err
}

// newNamePath is where a name's file is written. There is one at a time.
func (e *Engine) newNamePath() string { return filepath.Join(e.roots.Containers(), ".names", ".new") }

// releaseName ends a container's claim to a name. The claim's file goes into
// the directory of what is left of the container, if there is one: others wait
// for the lock, and the disk may take its time over the deletion of a file.
func (e *Engine) releaseName(name, id, left string) error {
	lock, err := filelock.Exclusive(e.namesLock())
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if err := os.Remove(e.newNamePath()); err != nil && !errors.Is(err, fs.ErrNotExist) { // left by a crash
		return err
	}
	if holder, ok := e.idOfName(name); !ok || holder != id {
		return nil
	}
	if left != "" && os.Rename(e.namePath(name), filepath.Join(left, "name")) == nil {
		return nil
	}
	if err := os.Remove(e.namePath(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sweepNames deletes the claims of containers that are not there or are called
// otherwise: somebody died while he made, removed or renamed one. The caller has
// seen to it that nobody does so now.
func (e *Engine) sweepNames() error {
	lock, err := filelock.Exclusive(e.namesLock())
	if err != nil {
		return err
	}
	defer lock.Unlock()
	entries, err := os.ReadDir(e.namePath(""))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		id, _ := e.idOfName(entry.Name())
		c, err := e.read(id)
		if err == nil && c.Spec.Name == entry.Name() || err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.Remove(e.namePath(entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// RenameContainer gives a container another name.
func (e *Engine) RenameContainer(id, name string) error {
	if !validName(name) {
		//lint:ignore ST1005 Docker's own words
		return fmt.Errorf("Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name)
	}
	if _, err := e.read(id); err != nil {
		return err
	}
	// It has two claims for a moment, of which sweep would take one.
	lock, err := filelock.Shared(filepath.Join(e.roots.Containers(), ".lock"))
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if err := e.claimName(name, id); err != nil {
		return err
	}
	fault.Point("rename: name claimed")
	var old string
	c, err := e.changeSpec(id, func(c *Container) error {
		old, c.Spec.Name = c.Spec.Name, name
		return nil
	})
	if err != nil {
		return err
	}
	if old == name {
		return nil
	}
	fault.Point("rename: on record")
	e.Happened(c, "rename", map[string]string{"oldName": "/" + old})
	return e.releaseName(old, id, "")
}
