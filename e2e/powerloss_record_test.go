package e2e

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"compose/internal/statefile"
)

// entry is a file as it may be found after a power loss.
type entry struct {
	mode fs.FileMode
	data string // of a file its content, of a link its target
	rdev int
}

// tree is what is found, by the paths below the root.
type tree map[string]entry

// durable is what a disk is known to hold of an inode: what it had when it
// was synced last.
type durable struct {
	data string
	kids map[string]uint64
	seen entry // kind and mode
}

// recorder notes what is on the disk for certain after each sync of a program:
// the content of a file once it was synced, a name once its directory was.
// It needs a file system that gives no inode number a second time, as tmpfs.
type recorder struct {
	t     testing.TB
	root  string
	dev   uint64
	disk  map[uint64]durable
	found []moment
}

// moment is a state in which a power loss may leave the root.
type moment struct {
	when  string
	ended bool // the command has reported that it is done
	tree  tree
}

func newRecorder(t testing.TB, root string) *recorder {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(root, &st); err != nil {
		t.Fatal(err)
	}
	return &recorder{t: t, root: root, dev: uint64(st.Dev), disk: map[uint64]durable{}}
}

// run runs a command to its end and adds the moments between its syncs.
func (r *recorder) run(h *host, dir string, args ...string) {
	r.t.Helper()
	cmd := h.command(r.t.Context(), dir, args...)
	var output locked
	cmd.Stdout, cmd.Stderr = &output, &output
	l := overhear(r.t, cmd, unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNCFS, unix.SYS_SYNC)
	defer l.close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	command := strings.Join(args, " ")
	for {
		select {
		case err := <-ended:
			if err != nil {
				r.t.Fatalf("%s: %v\n%s", command, err, output.String())
			}
			r.add(command+", at its end", true)
			return
		default:
		}
		if ask, ok := l.next(); ok {
			r.synced(ask, command)
			l.answer(ask, 0)
		}
	}
}

// synced notes what a sync that is about to begin makes durable, and before it
// what a power loss would leave now.
func (r *recorder) synced(ask *notification, command string) {
	path := fmt.Sprintf("/proc/%d/fd/%d", ask.pid, int32(ask.args[0]))
	var st unix.Stat_t
	all := ask.nr == unix.SYS_SYNC
	if !all {
		if err := unix.Stat(path, &st); err != nil || uint64(st.Dev) != r.dev {
			return
		}
		all = ask.nr == unix.SYS_SYNCFS
	}
	target, _ := os.Readlink(path)
	r.add(fmt.Sprintf("%s, before the sync of %s", command, strings.TrimPrefix(target, r.root+"/")), false)
	if !all {
		r.persist(path)
		return
	}
	_ = filepath.WalkDir(r.root, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			r.persist(path)
		}
		return nil
	})
}

// persist notes that what this file or directory is now is on the disk.
func (r *recorder) persist(path string) {
	ino, e, err := look1(path, true)
	if err != nil {
		return // it has gone just now
	}
	d := durable{data: e.data, seen: e}
	if e.mode.IsDir() {
		d.kids = map[string]uint64{}
		list, _ := os.ReadDir(path)
		for _, k := range list {
			at := filepath.Join(path, k.Name())
			kid, seen, err := look1(at, false)
			if err != nil {
				continue
			}
			d.kids[k.Name()] = kid
			if _, known := r.disk[kid]; !known {
				r.disk[kid] = durable{seen: seen, data: linkOnly(seen)}
			}
		}
	}
	r.disk[ino] = d
}

// linkOnly is what comes to the disk with a name: the target of a link.
func linkOnly(e entry) string {
	if e.mode&fs.ModeSymlink != 0 {
		return e.data
	}
	return ""
}

// look1 reads one file. A path through /proc is followed.
func look1(path string, content bool) (ino uint64, e entry, err error) {
	info, err := os.Lstat(path)
	if err == nil && strings.HasPrefix(path, "/proc/") {
		info, err = os.Stat(path)
	}
	if err != nil {
		return 0, e, err
	}
	st := info.Sys().(*syscall.Stat_t)
	e = entry{mode: info.Mode(), rdev: int(st.Rdev)}
	switch {
	case e.mode&fs.ModeSymlink != 0:
		e.data, err = os.Readlink(path)
	case e.mode.IsRegular() && content:
		var data []byte
		data, err = os.ReadFile(path)
		e.data = string(data)
	}
	return st.Ino, e, err
}

// add adds what a power loss would leave now: on a disk that keeps nothing but
// what it has to, and on two that have all names already, and of the files that
// were not synced nothing or half.
func (r *recorder) add(when string, ended bool) {
	top, _, err := look1(r.root, false)
	if err != nil {
		r.t.Fatal(err)
	}
	least := tree{}
	r.certain(least, top, ".")
	candidates := []moment{{when + ": what is certain", ended, least}}
	for text, part := range map[string]int{"nothing": 0, "half": 2} {
		names := tree{}
		_ = filepath.WalkDir(r.root, func(path string, _ fs.DirEntry, err error) error {
			below, _ := filepath.Rel(r.root, path)
			if err != nil || below == "run" {
				return fs.SkipDir
			}
			ino, e, err := look1(path, true)
			if err != nil {
				return nil
			}
			if e.mode.IsRegular() {
				if d, ok := r.disk[ino]; ok && d.seen.mode.IsRegular() && d.data != "" {
					e.data = d.data
				} else if part == 0 {
					e.data = ""
				} else {
					e.data = e.data[:len(e.data)/part]
				}
			}
			names[below] = e
			return nil
		})
		candidates = append(candidates, moment{when + ": all names, of new files " + text, ended, names})
	}
	for _, c := range candidates {
		if ended || !slices.ContainsFunc(r.found, func(m moment) bool { return maps.Equal(m.tree, c.tree) }) {
			r.found = append(r.found, c)
		}
	}
}

// certain collects what is below an inode on the disk.
func (r *recorder) certain(into tree, ino uint64, path string) {
	if path == "run" {
		return // it is no part of the disk
	}
	d := r.disk[ino]
	e := d.seen
	e.data = d.data
	if path == "." {
		e.mode = fs.ModeDir | 0o700
	}
	into[path] = e
	for name, kid := range d.kids {
		r.certain(into, kid, filepath.Join(path, name))
	}
}

// lay puts a tree into an empty directory, as the machine's next boot has it.
func (m moment) lay(root string) error {
	for _, path := range slices.Sorted(maps.Keys(m.tree)) {
		e, at := m.tree[path], filepath.Join(root, path)
		var err error
		switch {
		case path == ".":
		case e.mode.IsDir():
			err = os.Mkdir(at, 0o700)
		case e.mode&fs.ModeSymlink != 0:
			err = os.Symlink(e.data, at)
		case e.mode.IsRegular():
			data := strings.ReplaceAll(e.data, statefile.Boot(), "the boot before")
			err = os.WriteFile(at, []byte(data), 0o600)
		default:
			err = unix.Mknod(at, uint32(e.mode.Perm())|uint32(fileType(e.mode)), e.rdev)
		}
		if err == nil && e.mode&fs.ModeSymlink == 0 {
			err = os.Chmod(at, e.mode)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fileType is the kind of a special file as mknod wants it.
func fileType(m fs.FileMode) int {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return unix.S_IFIFO
	case m&fs.ModeSocket != 0:
		return unix.S_IFSOCK
	case m&fs.ModeCharDevice != 0:
		return unix.S_IFCHR
	}
	return unix.S_IFBLK
}
