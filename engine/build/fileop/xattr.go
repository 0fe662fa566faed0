package fileop

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// procPath is a path for the calls that take no descriptor of a directory.
// The last component is never followed by the l* calls.
func procPath(dir int, name string) string {
	return "/proc/self/fd/" + strconv.Itoa(dir) + "/" + name
}

func splitNames(b []byte) []string {
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// carried says whether an extended attribute is the file's own: overlayfs'
// notes and the host's security labels are not.
func carried(name string) bool {
	return !strings.HasPrefix(name, "trusted.overlay.") && name != "security.selinux" && name != "security.ima" && name != "security.evm"
}

// setXattrs gives what e describes to the file name in dir. File systems that
// keep no such attributes are no reason to fail.
func setXattrs(dir int, name string, list []xattr) error {
	for _, x := range list {
		err := unix.Lsetxattr(procPath(dir, name), x.name, x.value, 0)
		if err != nil && err != unix.ENOTSUP && err != unix.EPERM {
			return pathError("setxattr "+x.name, name, err)
		}
	}
	return nil
}
