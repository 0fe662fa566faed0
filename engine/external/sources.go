package external

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"compose/engine/runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ownFD is how our runtime is told a source by a descriptor of this process.
const ownFD = "/proc/self/fd/"

// sources are mounts of what descriptors refer to, attached nowhere yet. The
// other program cannot use the descriptors, and by their names it might be led
// elsewhere.
type sources map[int]int // place among the mounts -> descriptor of the mount

func openSources(mounts []specs.Mount) (sources, error) {
	s := sources{}
	for i, m := range mounts {
		text, ok := strings.CutPrefix(m.Source, ownFD)
		if !ok {
			continue
		}
		fd, err := strconv.Atoi(text)
		if err != nil {
			continue
		}
		var tree int
		if slices.Contains(m.Options, runtime.Detached) {
			tree, err = runtime.HeldMount(m.Source)
		} else {
			tree, err = unix.OpenTree(fd, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
		}
		if err != nil {
			s.close()
			return nil, fmt.Errorf("mount on %s: %w", m.Destination, err)
		}
		s[i] = tree
	}
	return s, nil
}

// attach gives the sources paths below dir in the calling thread's mount
// namespace and writes these into mounts.
func (s sources) attach(mounts []specs.Mount, dir string) error {
	for i, tree := range s {
		at := filepath.Join(dir, strconv.Itoa(i))
		var st unix.Stat_t
		if err := unix.Fstat(tree, &st); err != nil {
			return err
		}
		err := os.MkdirAll(dir, 0o700)
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			err = os.MkdirAll(at, 0o700)
		} else if err == nil {
			err = os.WriteFile(at, nil, 0o600)
		}
		if err == nil {
			err = unix.MoveMount(tree, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH)
		}
		if err != nil {
			return fmt.Errorf("mount on %s: %w", mounts[i].Destination, err)
		}
		mounts[i].Source = at
		mounts[i].Options = slices.DeleteFunc(slices.Clone(mounts[i].Options), func(o string) bool { return o == runtime.Detached })
	}
	return nil
}

func (s sources) close() {
	for _, fd := range s {
		unix.Close(fd)
	}
}
