package build

import (
	"errors"
	"os"
	"path"

	"github.com/moby/buildkit/solver/pb"
	"golang.org/x/sys/unix"

	"compose/engine/runtime"
)

// A mount needs something to be mounted on, and the runtime makes what is not
// there. Such stubs are none of the step's results and are removed after it.

// stubTargets are the places that may get stubs.
func stubTargets(list []*pb.Mount) []string {
	targets := []string{"proc", "sys", "dev", "etc/hosts", "etc/hostname", "etc/resolv.conf"}
	for _, m := range list {
		if m.Dest != pb.RootMount {
			targets = append(targets, trimmed(m.Dest))
		}
	}
	return targets
}

// findStubs are those of the targets, and of the directories above them, that
// no layer has, the deepest first.
func findStubs(root runtime.RootFS, targets []string) ([]string, error) {
	var missing []string
	seen := map[string]bool{}
	for _, t := range targets {
		for ; t != "." && t != "" && !seen[t]; t = path.Dir(t) {
			seen[t] = true
			there, err := inLayers(root, t)
			if err != nil {
				return nil, err
			}
			if there {
				break
			}
			missing = append(missing, t)
		}
	}
	return missing, nil
}

func inLayers(root runtime.RootFS, name string) (bool, error) {
	for _, dir := range root.Lowers {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return false, err
		}
		found, err := unix.Openat2(fd, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
		unix.Close(fd)
		if err == nil {
			unix.Close(found)
			return true, nil
		}
	}
	return false, nil
}

// removeStubs removes the stubs that nothing was put into.
func removeStubs(upper string, stubs []string) error {
	root, err := os.OpenRoot(upper)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range stubs {
		info, err := root.Lstat(name)
		if err != nil || info.Mode().IsRegular() && info.Size() > 0 || !info.Mode().IsRegular() && !info.IsDir() {
			continue
		}
		if err := root.Remove(name); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}
