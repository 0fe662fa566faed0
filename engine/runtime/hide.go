package runtime

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// hidden are the paths below /proc to cover. Only the child can do that: it is
// the child who mounts /proc, as a member of the PID namespace that it shows.
type hidden struct {
	masked, readonly []string // relative to /proc
	null             int      // O_PATH of the container's null device, -1 for no need
	ownDev           bool     // /dev is a fresh one of the container's own
}

// hidePaths covers the Spec's masked paths and makes its read-only ones so,
// before the pivot, and returns those that are the child's part. A path of
// /proc or /sys has to lie on the kernel's own file system: a mask that
// something else catches in its place is refused, not believed.
func (c *creation) hidePaths(l *launch) (hidden, error) {
	h := hidden{null: -1}
	_, h.ownDev = ownDev(c.spec.Mounts)
	lateProc := slices.ContainsFunc(c.late, func(m specs.Mount) bool { return m.Type == "proc" && m.Destination == "/proc" })
	var masked, readonly []string
	for _, part := range []struct {
		from      []string
		now, late *[]string
	}{{c.spec.Linux.MaskedPaths, &masked, &h.masked}, {c.spec.Linux.ReadonlyPaths, &readonly, &h.readonly}} {
		for _, name := range part.from {
			if !path.IsAbs(name) {
				return h, fmt.Errorf("the path %q to hide is not absolute", name)
			}
			name = path.Clean(name)
			if rel, ok := strings.CutPrefix(name, "/proc/"); ok && lateProc {
				*part.late = append(*part.late, rel)
			} else {
				*part.now = append(*part.now, name)
			}
		}
	}
	if len(masked)+len(h.masked) > 0 {
		fd, err := openNull(c.root)
		if err != nil {
			return h, err
		}
		h.null = fd
		l.open = append(l.open, os.NewFile(uintptr(fd), "null"))
	}
	for _, name := range masked {
		if err := mask(c.root, name, h.null); err != nil {
			return h, fmt.Errorf("mask %s: %w", name, err)
		}
	}
	for _, name := range readonly {
		if err := makeReadOnly(c.root, name); err != nil {
			return h, fmt.Errorf("make %s read-only: %w", name, err)
		}
	}
	return h, nil
}

// maskFlags are those of the empty directory that covers one.
const maskFlags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

func mask(root int, name string, null int) error {
	fd, isDir, err := openToHide(root, name)
	if err != nil || fd < 0 {
		return err
	}
	defer unix.Close(fd)
	if isDir {
		return unix.Mount("tmpfs", fdPath(fd), "tmpfs", maskFlags, "nr_blocks=1,nr_inodes=1")
	}
	return unix.Mount(fdPath(null), fdPath(fd), "", unix.MS_BIND, "")
}

// enterProc makes sure that what the child sees at a path is a proc file system.
func (p *program) enterProc(at string) {
	p.add("enter "+at, must, unix.SYS_CHDIR, p.str(at))
	statfs := ptr(p, make([]unix.Statfs_t, 1))
	p.add("look at "+at, must, unix.SYS_STATFS, p.str("."), statfs)
	p.add(at+" is not the kernel's file system", equal, 0, statfs, unix.PROC_SUPER_MAGIC)
}

// hideInProc covers paths of the proc file system that is the working
// directory: no link and no mount from elsewhere is on the way to them. What
// is a file takes the first of the two masks, a directory the second.
func (p *program) hideInProc(h hidden, flags uintptr) {
	none, tmpfs, options := p.str(""), p.str("tmpfs"), p.str("nr_blocks=1,nr_inodes=1")
	// In a /dev of our own nobody can have put something else in its place;
	// the way over a descriptor costs the kernel three new inodes of /proc.
	source := "/dev/null"
	if !h.ownDev {
		source = fmt.Sprintf("self/fd/%d", h.null)
	}
	null := p.str(source)
	for _, name := range h.masked {
		at, step := p.str(name), "mask /proc/"+name
		p.add(step, present, unix.SYS_MOUNT, null, at, none, unix.MS_BIND, 0)
		p.add(step, otherwise, unix.SYS_MOUNT, tmpfs, at, tmpfs, maskFlags, options)
	}
	for _, name := range h.readonly {
		at, step := p.str(name), "make /proc/"+name+" read-only"
		p.add(step, present, unix.SYS_MOUNT, at, at, none, unix.MS_BIND|unix.MS_REC, 0)
		p.add(step, present, unix.SYS_MOUNT, none, at, none, unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|flags, 0)
	}
	p.add("leave /proc", must, unix.SYS_CHDIR, p.str("/"))
}

// openToHide returns -1 where the kernel has no such file.
func openToHide(root int, name string) (fd int, isDir bool, err error) {
	fd, err = openInRoot(root, name, unix.O_PATH, unix.RESOLVE_NO_SYMLINKS)
	if isMissing(err) {
		return -1, false, nil
	}
	if err != nil {
		return -1, false, fmt.Errorf("open %s: %w", name, err)
	}
	var fs unix.Statfs_t
	var st unix.Stat_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return -1, false, err
	}
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, false, err
	}
	if strings.HasPrefix(name, "/proc/") && fs.Type != unix.PROC_SUPER_MAGIC || strings.HasPrefix(name, "/sys/") && fs.Type != unix.SYSFS_MAGIC && fs.Type != unix.TMPFS_MAGIC {
		unix.Close(fd)
		return -1, false, fmt.Errorf("%s is not on the kernel's file system: refusing to start", name)
	}
	return fd, st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}

func openNull(root int) (int, error) {
	fd, err := openInRoot(root, "dev/null", unix.O_PATH, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return -1, fmt.Errorf("open /dev/null: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		unix.Close(fd)
		return -1, fmt.Errorf("/dev/null of the container is not the null device: refusing to start")
	}
	return fd, nil
}

func makeReadOnly(root int, name string) error {
	fd, _, err := openToHide(root, name)
	if err != nil || fd < 0 {
		return err
	}
	err = unix.Mount(fdPath(fd), fdPath(fd), "", unix.MS_BIND|unix.MS_REC, "")
	unix.Close(fd)
	if err != nil {
		return err
	}
	top, err := openInRoot(root, name, unix.O_PATH, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return err
	}
	defer unix.Close(top)
	return remountBind(top, fdPath(top), unix.MS_RDONLY)
}
