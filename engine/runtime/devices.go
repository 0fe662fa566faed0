package runtime

import (
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Devices that the runtime-spec wants in every container, but for the console
// and ptmx, which belong to the devpts.
var defaultDevices = []specs.LinuxDevice{
	charDevice("/dev/null", 1, 3), charDevice("/dev/zero", 1, 5), charDevice("/dev/full", 1, 7),
	charDevice("/dev/random", 1, 8), charDevice("/dev/urandom", 1, 9), charDevice("/dev/tty", 5, 0),
}

func charDevice(name string, major, minor int64) specs.LinuxDevice {
	mode := os.FileMode(0o666)
	return specs.LinuxDevice{Path: name, Type: "c", Major: major, Minor: minor, FileMode: &mode}
}

var devLinks = [][2]string{
	{"/proc/self/fd", "fd"},
	{"/proc/self/fd/0", "stdin"},
	{"/proc/self/fd/1", "stdout"},
	{"/proc/self/fd/2", "stderr"},
	{"pts/ptmx", "ptmx"},
}

// ownDev says whether /dev is the container's own, and whether it is a fresh
// tmpfs. One that is bound from elsewhere is not ours to fill: it may be the
// host's.
func ownDev(mounts []specs.Mount) (own, fresh bool) {
	own = true
	for _, m := range mounts {
		if path.Clean(m.Destination) == "/dev" {
			fresh = m.Type == "tmpfs" && parseOptions(m.Options).flags&unix.MS_BIND == 0
			own = fresh
		}
	}
	return own, fresh
}

// fillDev makes the device nodes and links of /dev.
func fillDev(root int, devices []specs.LinuxDevice) error {
	if err := realDirectory(root, "/dev"); err != nil {
		return err
	}
	dev, err := openInRoot(root, "dev", unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return fmt.Errorf("open /dev: %w", err)
	}
	defer unix.Close(dev)
	old := unix.Umask(0)
	defer unix.Umask(old)
	for _, d := range append(append([]specs.LinuxDevice{}, defaultDevices...), devices...) {
		if err := makeDevice(root, d); err != nil {
			return fmt.Errorf("make the device %s: %w", d.Path, err)
		}
	}
	for _, l := range devLinks {
		if err := unix.Symlinkat(l[0], dev, l[1]); err != nil && err != unix.EEXIST {
			return fmt.Errorf("link /dev/%s: %w", l[1], err)
		}
	}
	return nil
}

func makeDevice(root int, d specs.LinuxDevice) error {
	dir, err := mkdirAllInRoot(root, path.Dir(d.Path))
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	mode := uint32(0o666)
	if d.FileMode != nil {
		mode = uint32(d.FileMode.Perm())
	}
	switch d.Type {
	case "b":
		mode |= unix.S_IFBLK
	case "p":
		mode |= unix.S_IFIFO
	default:
		mode |= unix.S_IFCHR
	}
	name := path.Base(d.Path)
	number := unix.Mkdev(uint32(d.Major), uint32(d.Minor))
	err = unix.Mknodat(dir, name, mode, int(number))
	if err == unix.EEXIST {
		var st unix.Stat_t
		if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if (st.Mode^mode)&unix.S_IFMT != 0 || mode&unix.S_IFMT != unix.S_IFIFO && st.Rdev != number {
			return fmt.Errorf("there is something else of that name")
		}
	} else if err != nil {
		return err
	}
	if d.UID != nil || d.GID != nil {
		uid, gid := 0, 0
		if d.UID != nil {
			uid = int(*d.UID)
		}
		if d.GID != nil {
			gid = int(*d.GID)
		}
		return unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	}
	return nil
}
