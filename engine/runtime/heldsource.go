package runtime

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// heldPrefix begins a source that is an open file of ours.
const heldPrefix = "/proc/self/fd/"

// openSource opens what is to be mounted. An open file was opened among the
// mounts of the host, of which the kernel clones nothing here: it is opened
// once more among the container's own, and has to be the same.
func openSource(source string) (int, error) {
	if !strings.HasPrefix(source, heldPrefix) {
		return unix.Open(source, unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	var held, found unix.Stat_t
	if err := unix.Stat(source, &held); err != nil {
		return -1, err
	}
	path, err := os.Readlink(source)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return -1, err
	}
	if err := unix.Fstat(fd, &found); err != nil || found.Dev != held.Dev || found.Ino != held.Ino {
		unix.Close(fd)
		return -1, fmt.Errorf("%s is not what it was a moment ago", path)
	}
	return fd, nil
}
