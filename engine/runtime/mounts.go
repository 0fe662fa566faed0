package runtime

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"compose/internal/filetree"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// mountFlag is what an option of fstab's language means to mount(2).
type mountFlag struct {
	set   uintptr
	clear bool
}

var mountFlags = map[string]mountFlag{
	"ro": {unix.MS_RDONLY, false}, "rw": {unix.MS_RDONLY, true},
	"nosuid": {unix.MS_NOSUID, false}, "suid": {unix.MS_NOSUID, true},
	"nodev": {unix.MS_NODEV, false}, "dev": {unix.MS_NODEV, true},
	"noexec": {unix.MS_NOEXEC, false}, "exec": {unix.MS_NOEXEC, true},
	"sync": {unix.MS_SYNCHRONOUS, false}, "async": {unix.MS_SYNCHRONOUS, true},
	"dirsync": {unix.MS_DIRSYNC, false}, "mand": {unix.MS_MANDLOCK, false}, "nomand": {unix.MS_MANDLOCK, true},
	"noatime": {unix.MS_NOATIME, false}, "atime": {unix.MS_NOATIME, true},
	"nodiratime": {unix.MS_NODIRATIME, false}, "diratime": {unix.MS_NODIRATIME, true},
	"relatime": {unix.MS_RELATIME, false}, "norelatime": {unix.MS_RELATIME, true},
	"strictatime": {unix.MS_STRICTATIME, false}, "nostrictatime": {unix.MS_STRICTATIME, true},
	"bind": {unix.MS_BIND, false}, "rbind": {unix.MS_BIND | unix.MS_REC, false},
	"defaults": {0, false},
}

var propagations = map[string]uintptr{
	"private": unix.MS_PRIVATE, "rprivate": unix.MS_PRIVATE | unix.MS_REC,
	"shared": unix.MS_SHARED, "rshared": unix.MS_SHARED | unix.MS_REC,
	"slave": unix.MS_SLAVE, "rslave": unix.MS_SLAVE | unix.MS_REC,
	"unbindable": unix.MS_UNBINDABLE, "runbindable": unix.MS_UNBINDABLE | unix.MS_REC,
}

type mountOptions struct {
	flags       uintptr
	propagation uintptr
	recursiveRO bool   // "rro"
	idmap       bool   // "idmap": by the container's user namespace
	detached    bool   // Detached
	copyUp      bool   // "tmpcopyup": a tmpfs begins with what is there below it
	data        string // for the file system
}

func parseOptions(options []string) mountOptions {
	var m mountOptions
	var data []string
	for _, o := range options {
		if f, ok := mountFlags[o]; ok {
			if f.clear {
				m.flags &^= f.set
			} else {
				m.flags |= f.set
			}
		} else if p, ok := propagations[o]; ok {
			m.propagation = p
		} else if o == "idmap" || o == "ridmap" {
			m.idmap = true
		} else if o == Detached {
			m.detached = true
		} else if o == "tmpcopyup" {
			m.copyUp = true
		} else if o == "rro" {
			m.flags |= unix.MS_RDONLY
			m.recursiveRO = true
		} else {
			data = append(data, o)
		}
	}
	m.data = strings.Join(data, ",")
	return m
}

// bind says that the mount shows what the host has somewhere.
func (o mountOptions) bind(m specs.Mount) bool { return m.Type == "bind" || o.flags&unix.MS_BIND != 0 }

// mountOne mounts one entry of the Spec below root, an open directory.
func mountOne(root int, m specs.Mount, i *ids) error {
	o := parseOptions(m.Options)
	if o.bind(m) {
		tree, err := cloneTree(m, o, i)
		if err != nil {
			return err
		}
		defer unix.Close(tree)
		return mountTree(root, m, o, tree)
	}
	target, err := mkdirAllInRoot(root, m.Destination)
	if err != nil {
		return fmt.Errorf("make the mount point %s: %w", m.Destination, err)
	}
	defer unix.Close(target)
	source := m.Source
	if source == "" {
		source = m.Type
	}
	flags := o.flags
	if o.copyUp {
		flags &^= unix.MS_RDONLY
	}
	if err := unix.Mount(source, fdPath(target), m.Type, flags, i.options(m.Type, o.data)); err != nil {
		return fmt.Errorf("mount %s on %s: %w", m.Type, m.Destination, err)
	}
	if o.copyUp {
		if err := copyUp(root, target, m.Destination, o); err != nil {
			return fmt.Errorf("fill the %s on %s from the image: %w", m.Type, m.Destination, err)
		}
	}
	return propagate(root, m.Destination, o.propagation)
}

// copyUp fills a file system that was just mounted with what is below it, where
// from leads.
func copyUp(root, from int, name string, o mountOptions) error {
	top, err := openInRoot(root, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(top)
	var st unix.Stat_t
	if err := unix.Fstat(top, &st); err != nil {
		return err
	}
	if err := filetree.Copy(from, top); err != nil {
		return err
	}
	if strings.Contains(","+o.data, ",mode=") {
		if err := unix.Fchmod(top, st.Mode&0o7777); err != nil {
			return err
		}
	}
	if o.flags&unix.MS_RDONLY != 0 {
		return remountBind(top, fdPath(top), o.flags)
	}
	return nil
}

// mountTree puts a copy of the source's mount at the destination. From the copy
// on, everything is done by descriptor: where a volume that another container
// can change is on the way, no name would lead to the same place twice.
func mountTree(root int, m specs.Mount, o mountOptions, tree int) error {
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return err
	}
	make := mkfileInRoot
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		make = mkdirAllInRoot
	}
	target, err := make(root, m.Destination)
	if err != nil {
		return fmt.Errorf("make the mount point %s: %w", m.Destination, err)
	}
	defer unix.Close(target)
	var at unix.Stat_t
	if err := unix.Fstat(target, &at); err != nil {
		return err
	}
	if (at.Mode&unix.S_IFMT == unix.S_IFDIR) != (st.Mode&unix.S_IFMT == unix.S_IFDIR) {
		return fmt.Errorf("mount %s on %s: one is a directory and the other is not", m.Source, m.Destination)
	}
	if err := unix.MoveMount(tree, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %s on %s: %w", m.Source, m.Destination, err)
	}
	how := o.propagation
	if how == 0 {
		how = unix.MS_PRIVATE | unix.MS_REC
	}
	if err := unix.Mount("", fdPath(tree), "", how, ""); err != nil {
		return fmt.Errorf("set the propagation of %s: %w", m.Destination, err)
	}
	if o.recursiveRO {
		err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
		if err != nil {
			return fmt.Errorf("make %s read-only with what is mounted below it: %w", m.Destination, err)
		}
	}
	if extra := o.flags &^ (unix.MS_BIND | unix.MS_REC); extra != 0 {
		return remountBind(tree, fdPath(tree), extra)
	}
	return nil
}

// cloneTree copies the mount that a bind mount shows, with the owners that it
// shows.
func cloneTree(m specs.Mount, o mountOptions, i *ids) (int, error) {
	source := m.Source
	if o.detached {
		fd, err := HeldMount(source)
		if err != nil {
			return -1, fmt.Errorf("open the bind source %s: %w", source, err)
		}
		return fd, nil
	}
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_EMPTY_PATH)
	if o.flags&unix.MS_REC != 0 {
		flags |= unix.AT_RECURSIVE
	}
	from, err := openSource(source)
	if err == unix.ENOENT {
		return -1, fmt.Errorf("bind source path does not exist: %s", source)
	}
	if err != nil {
		return -1, fmt.Errorf("open the bind source %s: %w", source, err)
	}
	defer unix.Close(from)
	fd, err := unix.OpenTree(from, "", flags)
	if err != nil {
		return -1, fmt.Errorf("open the bind source %s: %w", source, err)
	}
	if o.idmap && i != nil {
		if err := i.idmap(fd); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("mount %s on %s: %w", source, m.Destination, err)
		}
	}
	return fd, nil
}

// earlyTrees are copies, by their place in the Spec, of mounts that have to be
// made first: before the thread's mounts are cut off from the host's those that
// shall go on sharing with it what is mounted below them, and before a user
// namespace's views of layers are in place all: who is given a directory above
// them shall not find the layers there as files of his own.
type earlyTrees map[int]int

func openEarly(list []specs.Mount, i *ids) (earlyTrees, error) {
	early := earlyTrees{}
	for n, m := range list {
		o := parseOptions(m.Options)
		if !o.bind(m) || o.propagation&unix.MS_SHARED == 0 && i == nil {
			continue
		}
		fd, err := cloneTree(m, o, i)
		if err != nil {
			early.close()
			return nil, err
		}
		early[n] = fd
	}
	return early, nil
}

func (e earlyTrees) close() {
	for _, fd := range e {
		unix.Close(fd)
	}
}

// remountBind sets flags on the mount that fd is the top of and that the path
// at leads to, keeping those that the file system beneath has.
func remountBind(fd int, at string, flags uintptr) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return err
	}
	for _, f := range []struct {
		st int64
		ms uintptr
	}{
		{unix.ST_NOSUID, unix.MS_NOSUID},
		{unix.ST_NODEV, unix.MS_NODEV},
		{unix.ST_NOEXEC, unix.MS_NOEXEC},
		{unix.ST_RDONLY, unix.MS_RDONLY},
		{unix.ST_NOATIME, unix.MS_NOATIME},
		{unix.ST_RELATIME, unix.MS_RELATIME},
	} {
		if int64(st.Flags)&f.st != 0 {
			flags |= f.ms
		}
	}
	if err := unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""); err != nil {
		return fmt.Errorf("set the mount's flags: %w", err)
	}
	return nil
}

func propagate(root int, name string, how uintptr) error {
	if how == 0 {
		return nil
	}
	top, err := openInRoot(root, name, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer unix.Close(top)
	return unix.Mount("", fdPath(top), "", how, "")
}

// mountAll mounts the Spec's mounts below root, but for those that only the
// container's first process can make; these it returns.
func mountAll(root int, list []specs.Mount, early earlyTrees, i *ids) (late []specs.Mount, err error) {
	for n, m := range list {
		if err := checkMount(m); err != nil {
			return nil, err
		}
		switch m.Type {
		case "proc", "cgroup", "cgroup2":
			if err := realDirectory(root, m.Destination); err != nil {
				return nil, err
			}
			late = append(late, m)
			continue
		case "sysfs":
			if err := realDirectory(root, m.Destination); err != nil {
				return nil, err
			}
		}
		if tree, ok := early[n]; ok {
			err = mountTree(root, m, parseOptions(m.Options), tree)
		} else {
			err = mountOne(root, m, i)
		}
		if err != nil {
			return nil, err
		}
	}
	return late, nil
}

// realDirectory makes sure that name is a directory reached through no link:
// what the image has put there cannot redirect a file system that we trust.
func realDirectory(root int, name string) error {
	fd, err := mkdirAllInRoot(root, name)
	if err == nil {
		unix.Close(fd)
		fd, err = openInRoot(root, name, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	}
	if err != nil {
		return fmt.Errorf("make the mount point %s: %w", name, err)
	}
	return unix.Close(fd)
}

// checkMount refuses what no mount(2) could be meant by.
func checkMount(m specs.Mount) error {
	if !path.IsAbs(m.Destination) {
		return fmt.Errorf("mount destination %q is no absolute path", m.Destination)
	}
	switch clean := path.Clean(m.Destination); {
	case clean == "/":
		return fmt.Errorf("mount destination %q: it cannot be the root directory", m.Destination)
	case strings.HasPrefix(clean, "/proc/"):
		return fmt.Errorf("%q cannot be mounted because it is inside /proc", m.Destination)
	}
	for _, s := range append([]string{m.Destination, m.Source, m.Type}, m.Options...) {
		if strings.IndexByte(s, 0) >= 0 {
			return fmt.Errorf("mount of %q: a NUL byte in %q", m.Destination, s)
		}
	}
	return nil
}

// isMissing says that a path is not there at all.
func isMissing(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
}

// MountOptions lists the mount options that mean something here; others are
// handed to the file system.
func MountOptions() []string {
	list := []string{"rro", "idmap", "ridmap", "tmpcopyup"}
	for name := range mountFlags {
		list = append(list, name)
	}
	for name := range propagations {
		list = append(list, name)
	}
	return list
}
