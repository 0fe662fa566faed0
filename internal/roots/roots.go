// Package roots names the two directories an installation lives in and derives
// from them the tag that its kernel objects carry, so that two installations
// on one host never meet.
package roots

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path" // path/filepath initialises after the heavy libraries

	"golang.org/x/sys/unix"
)

// Defaults of --root (COMPOSE_ROOT) and --run-root (COMPOSE_RUN_ROOT).
const (
	DefaultState = "/var/lib/compose"
	DefaultRun   = "/run/compose"
)

// Roots is where one installation keeps what it knows.
type Roots struct {
	State string // survives a reboot: images, layers, volumes, containers, projects
	Run   string // does not: sockets, locks, live endpoints
}

// New returns the roots for a state and a run directory, both made absolute.
// Empty means the default; a run directory left empty beside a state directory
// of one's own is <state>/run, so that naming one root is enough to be apart
// from every other installation.
func New(state, run string) (Roots, error) {
	if run == "" {
		run = DefaultRun
		if state != "" && state != DefaultState {
			run = path.Join(state, "run")
		}
	}
	if state == "" {
		state = DefaultState
	}
	var err error
	if state, err = Abs(state); err != nil {
		return Roots{}, err
	}
	if run, err = Abs(run); err != nil {
		return Roots{}, err
	}
	return Roots{State: state, Run: run}, nil
}

// Abs is a path from the root directory.
func Abs(name string) (string, error) {
	if path.IsAbs(name) {
		return path.Clean(name), nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working directory: %w", err)
	}
	return path.Join(dir, name), nil
}

// Create makes the two directories, readable by root only, and in that of the
// state those of each kind of object, which a power loss does not take away
// with what comes into them.
func (r Roots) Create() error {
	for _, d := range []string{r.State, r.Run} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("make the directory %s: %w", d, err)
		}
	}
	made := false
	for _, d := range []string{r.Images(), r.Layers(), r.Volumes(), r.Networks(), r.Containers(), r.Projects()} {
		if os.Mkdir(d, 0o700) == nil { // whoever needs it says why it is not there
			made = true
			spread(r.State)
			spread(d)
		}
	}
	if !made {
		return nil
	}
	for _, d := range []string{r.State, path.Dir(r.State)} {
		if err := syncDir(d); err != nil {
			return fmt.Errorf("write the directory %s to disk: %w", d, err)
		}
	}
	return nil
}

// spread tells ext4 that what is in the directories below dir does not belong
// together, and so to lay each out in a part of the disk of its own. It would
// put all of them in one, where the search for a free inode has to pass all that
// were freed lately: without a journal each for a minute or more, which makes
// creation after a removal several times as dear. It is a hint, and other file
// systems do not know it.
func spread(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	const topOfHierarchies = 0x00020000 // FS_TOPDIR_FL
	if flags, err := unix.IoctlGetUint32(int(d.Fd()), unix.FS_IOC_GETFLAGS); err == nil {
		_ = unix.IoctlSetPointerInt(int(d.Fd()), unix.FS_IOC_SETFLAGS, int(flags|topOfHierarchies))
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Tag is six hexadecimal digits that stand for the state directory in the
// names of kernel objects: bridges, veths, cgroups, nft tables.
func (r Roots) Tag() string {
	sum := sha256.Sum256([]byte(r.State))
	return hex.EncodeToString(sum[:3])
}

// The directories below the two roots, one per kind of object.
func (r Roots) Images() string     { return path.Join(r.State, "images") }
func (r Roots) Layers() string     { return path.Join(r.State, "layers") }
func (r Roots) Build() string      { return path.Join(r.State, "build") }
func (r Roots) Volumes() string    { return path.Join(r.State, "volumes") }
func (r Roots) Networks() string   { return path.Join(r.State, "networks") }
func (r Roots) Containers() string { return path.Join(r.State, "containers") }
func (r Roots) Projects() string   { return path.Join(r.State, "projects") }

// Container is the directory of one container's state.
func (r Roots) Container(id string) string { return path.Join(r.Containers(), id) }

// Project is the directory of one project's state.
func (r Roots) Project(name string) string { return path.Join(r.Projects(), name) }

// RunProject is the directory of one project's sockets and locks.
func (r Roots) RunProject(name string) string { return path.Join(r.Run, "projects", name) }
