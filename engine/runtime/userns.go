package runtime

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ids maps a container's users and groups to the host's. Nil maps each to itself.
type ids struct {
	ns         *os.File // the user namespace
	uids, gids []specs.LinuxIDMapping
}

// errUnmapped says that a container's user is nobody on the host.
var errUnmapped = errors.New("the user namespace maps no such user")

func mapped(list []specs.LinuxIDMapping, id uint32) (uint32, error) {
	for _, m := range list {
		if id >= m.ContainerID && uint64(id) < uint64(m.ContainerID)+uint64(m.Size) {
			return m.HostID + (id - m.ContainerID), nil
		}
	}
	return 0, fmt.Errorf("%w: %d", errUnmapped, id)
}

// onHost is what a user and a group of the container are on the host.
func (i *ids) onHost(uid, gid uint32) (uint32, uint32, error) {
	if i == nil {
		return uid, gid, nil
	}
	u, err := mapped(i.uids, uid)
	if err != nil {
		return 0, 0, err
	}
	g, err := mapped(i.gids, gid)
	return u, g, err
}

// NewUserNS makes a user namespace. It lives as long as somebody is in it or
// holds the file.
func NewUserNS(uids, gids []specs.LinuxIDMapping) (*os.File, error) {
	if len(uids) == 0 || len(gids) == 0 {
		return nil, errors.New("a user namespace needs uidMappings and gidMappings")
	}
	var ns *os.File
	err := withHelper(unix.CLONE_NEWUSER, nil, func(pid int) error {
		for name, list := range map[string][]specs.LinuxIDMapping{"uid_map": uids, "gid_map": gids} {
			var text strings.Builder
			for _, m := range list {
				fmt.Fprintln(&text, m.ContainerID, m.HostID, m.Size)
			}
			if err := os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, name), []byte(text.String()), 0); err != nil {
				return fmt.Errorf("map the users of the namespace: %w", err)
			}
		}
		var err error
		ns, err = os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
		return err
	})
	if err != nil {
		if ns != nil {
			ns.Close()
		}
		return nil, fmt.Errorf("make a user namespace: %w", err)
	}
	return ns, nil
}

// nsFiles are the names in /proc/<pid>/ns of what unshare(2) makes.
var nsFiles = []struct {
	flag int
	name string
}{{unix.CLONE_NEWNS, "mnt"}, {unix.CLONE_NEWNET, "net"}, {unix.CLONE_NEWIPC, "ipc"}, {unix.CLONE_NEWUTS, "uts"}}

// NewNetNS makes a network namespace that belongs to a user namespace: root
// there has the say over it.
func NewNetNS(user *os.File) (*os.File, error) {
	files, err := ownedBy(user, unix.CLONE_NEWNET)
	if err != nil {
		return nil, err
	}
	return files[0], nil
}

// ownedBy makes namespaces that belong to the user namespace, in nsFiles' order.
// A thread of ours cannot enter one, but a child that does may make them there.
func ownedBy(user *os.File, flags int) (files []*os.File, err error) {
	err = withHelper(0, func(p *program) {
		p.add("enter the user namespace", must, unix.SYS_SETNS, user.Fd(), unix.CLONE_NEWUSER)
		p.add("make the namespaces", must, unix.SYS_UNSHARE, uintptr(flags))
	}, func(pid int) error {
		for _, ns := range nsFiles {
			if flags&ns.flag == 0 {
				continue
			}
			f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, ns.name))
			if err != nil {
				return err
			}
			files = append(files, f)
		}
		return nil
	})
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return nil, fmt.Errorf("make the namespaces of a user namespace: %w", err)
	}
	return files, nil
}

// withHelper makes a child that carries out steps, and calls look while it is
// there. The child never runs a program.
func withHelper(flags uint64, steps func(*program), look func(pid int) error) error {
	l, err := spawn(func(l *launch) error {
		l.args.flags |= flags
		if steps != nil {
			steps(&l.program)
		}
		// Its own copy of our end of the pipe would keep it waiting for ever.
		l.program.closeAllBut([]int{l.readyW, l.goR})
		l.halt()
		l.program.add("end", must, unix.SYS_EXIT_GROUP)
		return nil
	})
	if err != nil {
		return err
	}
	err = look(int(l.pid))
	l.goW.Close()
	<-l.done
	_, _ = Reap(int(l.pid))
	unix.Close(int(l.pidfd))
	return err
}

// enterOwned puts the thread into fresh namespaces of the user namespace, and
// makes it write as that namespace's root: what it creates is the container's.
func (i *ids) enterOwned(flags int) error {
	files, err := ownedBy(i.ns, flags)
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for _, f := range files {
		if err := unix.Setns(int(f.Fd()), 0); err != nil {
			return fmt.Errorf("enter the namespaces of the user namespace: %w", err)
		}
	}
	uid, gid, err := i.onHost(0, 0)
	if errors.Is(err, errUnmapped) {
		return nil // a container without a root of its own
	}
	return writeAs(uid, gid)
}

// writeAs makes the thread's new files somebody's. The capabilities stay: it
// mounts and makes devices.
func writeAs(uid, gid uint32) error {
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, secbitNoSetuidFixup, 0, 0, 0); err != nil {
		return fmt.Errorf("keep the capabilities: %w", err)
	}
	unix.RawSyscall(unix.SYS_SETFSGID, uintptr(gid), 0, 0)
	unix.RawSyscall(unix.SYS_SETFSUID, uintptr(uid), 0, 0)
	return nil
}

// asRoot calls fn while the thread counts as the container's root, to whom the
// parameters of an IPC namespace belong, and as nobody else.
func (i *ids) asRoot(fn func() error) error {
	uid, gid, err := i.onHost(0, 0)
	if i == nil || err != nil {
		return fn()
	}
	const same = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, same, uintptr(uid), same); errno != 0 {
		return fmt.Errorf("become the container's root: %w", errno)
	}
	err = fn()
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, same, 0, same); errno != 0 {
		return fmt.Errorf("become the host's root again: %w", errno)
	}
	return errors.Join(err, writeAs(uid, gid))
}

// WritingAs calls fn on a thread whose new files are those of a user and a
// group of the host. Layers that are mapped have no place for others'.
func WritingAs(uid, gid int, fn func() error) error {
	return onThread(func() error {
		if err := writeAs(uint32(uid), uint32(gid)); err != nil {
			return err
		}
		return fn()
	})
}

const secbitNoSetuidFixup = 1 << 2

// options translates the uid= and gid= of a file system that keeps them as the
// host's numbers.
func (i *ids) options(fstype, data string) string {
	if i == nil || fstype != "tmpfs" && fstype != "devpts" {
		return data
	}
	parts := strings.Split(data, ",")
	for n, part := range parts {
		key, value, _ := strings.Cut(part, "=")
		list := map[string][]specs.LinuxIDMapping{"uid": i.uids, "gid": i.gids}[key]
		id, err := strconv.ParseUint(value, 10, 32)
		if list == nil || err != nil {
			continue
		}
		if host, err := mapped(list, uint32(id)); err == nil {
			parts[n] = fmt.Sprintf("%s=%d", key, host)
		}
	}
	return strings.Join(parts, ",")
}

// idsOf reads the maps of a container's process. Nil is for one in our own
// user namespace.
func idsOf(pid int) (*ids, error) {
	var own, its unix.Stat_t
	name := fmt.Sprintf("/proc/%d/ns/user", pid)
	if err := unix.Stat("/proc/self/ns/user", &own); err != nil {
		return nil, err
	}
	if err := unix.Stat(name, &its); err != nil {
		return nil, fmt.Errorf("the container is not running: %w", err)
	}
	if own.Ino == its.Ino {
		return nil, nil
	}
	i := &ids{}
	for file, list := range map[string]*[]specs.LinuxIDMapping{"uid_map": &i.uids, "gid_map": &i.gids} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			var m specs.LinuxIDMapping
			if _, err := fmt.Sscan(line, &m.ContainerID, &m.HostID, &m.Size); err != nil {
				return nil, fmt.Errorf("read the container's %s: %w", file, err)
			}
			*list = append(*list, m)
		}
	}
	var err error
	i.ns, err = os.Open(name)
	return i, err
}

// close is safe to call on nil.
func (i *ids) close() {
	if i != nil && i.ns != nil {
		i.ns.Close()
	}
}

// idmap shows the mount tree, which is attached nowhere yet, with its owners
// as the container's: what is root's on the disk is root's inside.
func (i *ids) idmap(tree int) error {
	err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(i.ns.Fd())})
	if err == unix.EINVAL || err == unix.ENOSYS {
		return errors.New("this kernel or file system cannot map the owners of files, which a user namespace needs: use userns_mode host")
	}
	return err
}

// layers are the directories that overlays are made of, those whose owners are
// to be the container's.
func (c *creation) layers() (dirs []string) {
	if c.cfg.RootFS.IDMap {
		dirs = c.cfg.RootFS.dirs()
	}
	for _, m := range c.spec.Mounts {
		o := parseOptions(m.Options)
		for option := range strings.SplitSeq(o.data, ",") {
			if list, ok := strings.CutPrefix(option, "lowerdir="); ok && o.idmap && m.Type == "overlay" {
				dirs = append(dirs, strings.Split(list, ":")...)
			}
		}
	}
	return dirs
}

// idmapDirs puts a mapped view of each directory in its own place. The mounts
// are the thread's own.
func (i *ids) idmapDirs(dirs []string) error {
	slices.Sort(dirs)
	var done []string
	for _, dir := range dirs {
		if slices.ContainsFunc(done, func(above string) bool { return dir == above || strings.HasPrefix(dir, above+"/") }) {
			continue // it is seen through that view
		}
		done = append(done, dir)
		tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return fmt.Errorf("open %s: %w", dir, err)
		}
		if err = i.idmap(tree); err == nil {
			err = unix.MoveMount(tree, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH)
		}
		unix.Close(tree)
		if err != nil {
			return fmt.Errorf("map the owners of %s: %w", dir, err)
		}
	}
	return nil
}
