package fileop

import (
	"crypto/rand"
	"encoding/hex"
	"path"
	"strings"
	"time"

	"github.com/moby/buildkit/solver/pb"
	"golang.org/x/sys/unix"

	"compose/internal/lateinit"
)

// Mkdir carries out a mkdir below the descriptor root. A directory that is
// there already stays as it is.
func Mkdir(root int, a *pb.FileActionMkDir, owner *Owner) error {
	lateinit.Run(lateinit.Builds)
	if a.MakeParents {
		return mkdirAll(root, a.Path, uint32(a.Mode)&0o777, owner, timeOf(a.Timestamp))
	}
	real, err := realPath(root, a.Path, true)
	if err != nil {
		return err
	}
	return mkdirOne(root, real, uint32(a.Mode)&0o777, owner, timeOf(a.Timestamp))
}

// Mkfile writes a file below root, in place of what is there.
func Mkfile(root int, a *pb.FileActionMkFile, owner *Owner) error {
	lateinit.Run(lateinit.Builds)
	real, err := realPath(root, a.Path, true)
	if err != nil {
		return err
	}
	dir, err := openIn(root, path.Dir(real), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return pathError("open", path.Dir(a.Path), err)
	}
	defer unix.Close(dir)
	// A new file is renamed over the old one: the old may be a device or a
	// link, and must not be written through.
	tmp := tempName()
	fd, err := unix.Openat(dir, tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return pathError("create", a.Path, err)
	}
	err = writeAll(fd, a.Data)
	unix.Close(fd)
	if err == nil {
		err = attribute(dir, tmp, uint32(a.Mode)&0o777, owner, timeOf(a.Timestamp))
	}
	if err == nil {
		err = unix.Renameat(dir, tmp, dir, path.Base(real))
	}
	if err != nil {
		unix.Unlinkat(dir, tmp, 0)
		return pathError("write", a.Path, err)
	}
	return nil
}

// Symlink makes a symbolic link below root.
func Symlink(root int, a *pb.FileActionSymlink, owner *Owner) error {
	lateinit.Run(lateinit.Builds)
	real, err := realPath(root, a.Newpath, true)
	if err != nil {
		return err
	}
	dir, err := openIn(root, path.Dir(real), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return pathError("open", path.Dir(a.Newpath), err)
	}
	defer unix.Close(dir)
	name := path.Base(real)
	if err := unix.Symlinkat(a.Oldpath, dir, name); err != nil {
		return pathError("symlink", a.Newpath, err)
	}
	uid, gid := ids(owner)
	if err := unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return pathError("chown", a.Newpath, err)
	}
	if t := timeOf(a.Timestamp); t != nil {
		return unix.UtimesNanoAt(dir, name, timespecs(*t), unix.AT_SYMLINK_NOFOLLOW)
	}
	return nil
}

// Remove removes what the path names below root, whole trees included; a
// link is removed itself.
func Remove(root int, a *pb.FileActionRm) error {
	lateinit.Run(lateinit.Builds)
	list := []string{path.Clean("/" + a.Path)}
	if a.AllowWildcard && hasWildcard(a.Path) {
		s := &selection{tree: Tree{Root: root}}
		var err error
		if list, err = s.glob("/", strings.Split(list[0], "/")[1:]); err != nil {
			return err
		}
	}
	for _, name := range list {
		if name == "/" {
			return pathError("remove", a.Path, unix.EBUSY)
		}
		real, err := realPath(root, name, false)
		if err != nil {
			return err
		}
		dir, err := openIn(root, path.Dir(real), unix.O_PATH|unix.O_DIRECTORY, 0)
		if err == nil {
			var st unix.Stat_t
			err = unix.Fstatat(dir, path.Base(real), &st, unix.AT_SYMLINK_NOFOLLOW)
			if err == nil {
				err = removeAt(dir, path.Base(real))
			}
			unix.Close(dir)
		}
		if isMissing(err) {
			if a.AllowNotFound {
				continue
			}
			return &NotFoundError{Path: a.Path}
		}
		if err != nil {
			return pathError("remove", a.Path, err)
		}
	}
	return nil
}

// mkdirAll makes the directory name below root with all that is missing above
// it, each with the same mode, owner and time.
func mkdirAll(root int, name string, mode uint32, owner *Owner, t *time.Time) error {
	real, err := realPath(root, name, true)
	if err != nil {
		return err
	}
	if st, err := statIn(root, real); err == nil {
		if !isDir(&st) {
			return pathError("mkdir", name, unix.ENOTDIR)
		}
		return nil
	} else if !isMissing(err) {
		return pathError("stat", name, err)
	}
	if err := mkdirAll(root, path.Dir(real), mode, owner, t); err != nil {
		return err
	}
	return mkdirOne(root, real, mode, owner, t)
}

func mkdirOne(root int, real string, mode uint32, owner *Owner, t *time.Time) error {
	dir, err := openIn(root, path.Dir(real), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return pathError("open", path.Dir(real), err)
	}
	defer unix.Close(dir)
	if err := unix.Mkdirat(dir, path.Base(real), 0o700); err != nil {
		if err == unix.EEXIST {
			return nil
		}
		return pathError("mkdir", real, err)
	}
	return attribute(dir, path.Base(real), mode, owner, t)
}

// attribute finishes a file that the build has made out of nothing.
func attribute(dir int, name string, mode uint32, owner *Owner, t *time.Time) error {
	uid, gid := ids(owner)
	if err := unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return pathError("chown", name, err)
	}
	if err := unix.Fchmodat(dir, name, mode, 0); err != nil {
		return pathError("chmod", name, err)
	}
	if t != nil {
		return unix.UtimesNanoAt(dir, name, timespecs(*t), unix.AT_SYMLINK_NOFOLLOW)
	}
	return nil
}

func ids(o *Owner) (uid, gid int) {
	if o == nil {
		return 0, 0
	}
	return o.UID, o.GID
}

// timeOf reads BuildKit's timestamp, where -1 is none.
func timeOf(ns int64) *time.Time {
	if ns == -1 {
		return nil
	}
	t := time.Unix(0, ns)
	return &t
}

func tempName() string {
	var b [8]byte
	rand.Read(b[:])
	return ".tmp-" + hex.EncodeToString(b[:])
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err != nil && err != unix.EINTR {
			return err
		}
		data = data[max(n, 0):]
	}
	return nil
}
