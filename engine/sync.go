package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"compose/engine/build/fileop"
)

// SyncPath is a path of the host and what it is called in a container.
type SyncPath struct {
	Source string // absolute
	Target string // absolute, in the container
}

// Sync makes paths of a container like those of the host: files are copied
// with their owners and modes, directories are made, and what the host does
// not have is removed. Directories above a target are made. The container's
// own links never lead out of its files.
func (e *Engine) Sync(ctx context.Context, id string, list []SyncPath) error {
	for _, p := range list {
		if err := e.within(ctx, id, p.Target, func(to tree, target string) error {
			return to.change(func() error { return syncPath(ctx, to, p.Source, target) })
		}); err != nil {
			return fmt.Errorf("copy %s to %s: %w", p.Source, p.Target, err)
		}
	}
	return nil
}

func syncPath(ctx context.Context, to tree, source, target string) error {
	root, owner := to.root, to.owner(true)
	dir, base := filepath.Split(source)
	from, err := os.Open(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var st unix.Stat_t
	if err == nil {
		defer from.Close()
		err = unix.Fstatat(int(from.Fd()), base, &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fileop.Remove(int(root.Fd()), &fileop.RemoveAction{Path: target, AllowNotFound: true})
	case err != nil:
		return err
	}
	same, err := makeRoom(root, target, &st)
	if same || err != nil {
		return err
	}
	if isDir {
		uid, gid := to.shown.outside(int(st.Uid), int(st.Gid))
		return fileop.Mkdir(int(root.Fd()), &fileop.MkdirAction{
			Path: target, Mode: int32(st.Mode & 0o777), MakeParents: true, Timestamp: -1,
		}, &fileop.Owner{UID: uid, GID: gid})
	}
	err = fileop.Copy(ctx, fileop.Tree{Root: int(from.Fd())}, int(root.Fd()), &fileop.CopyAction{
		Src: "/" + base, Dest: target, Mode: -1, Timestamp: -1, CreateDestPath: true,
	}, owner)
	var missing *fileop.NotFoundError
	if errors.As(err, &missing) { // it went while it was copied, which will be told of
		return nil
	}
	return err
}

// makeRoom removes what is of another kind than what is to come: a directory
// or a link where a file is to be, a file where a directory is to be. It says
// of the very same file, which a bind mount shows there, that it is the same.
func makeRoom(root *os.File, target string, from *unix.Stat_t) (same bool, err error) {
	fd, err := unix.Openat2(int(root.Fd()), strings.TrimPrefix(target, "/"), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return false, nil // there is nothing, or the copy will tell what is wrong
	}
	var old unix.Stat_t
	err = unix.Fstat(fd, &old)
	unix.Close(fd)
	if err != nil || old.Dev == from.Dev && old.Ino == from.Ino {
		return true, err
	}
	kind, forDir := old.Mode&unix.S_IFMT, from.Mode&unix.S_IFMT == unix.S_IFDIR
	if forDir && kind != unix.S_IFDIR && !isDirWithin(root, target) || !forDir && (kind == unix.S_IFDIR || kind == unix.S_IFLNK) {
		return false, fileop.Remove(int(root.Fd()), &fileop.RemoveAction{Path: target, AllowNotFound: true})
	}
	return false, nil
}
