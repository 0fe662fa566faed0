package fileop

import (
	"golang.org/x/sys/unix"
)

// Link makes the tree below the descriptor from again below to, an empty
// directory on the same file system: directories anew, with all their
// attributes (overlayfs' own too), and everything else as hard links.
func Link(from, to int) error {
	names, err := readDirNames(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(from, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return pathError("stat", name, err)
		}
		if !isDir(&st) {
			if err := unix.Linkat(from, name, to, name, 0); err != nil {
				return pathError("link", name, err)
			}
			continue
		}
		if err := linkDir(from, to, name); err != nil {
			return err
		}
	}
	return likeDir(from, to)
}

func linkDir(from, to int, name string) error {
	if err := unix.Mkdirat(to, name, 0o700); err != nil {
		return pathError("mkdir", name, err)
	}
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	source, err := unix.Openat(from, name, flags, 0)
	if err != nil {
		return pathError("open", name, err)
	}
	defer unix.Close(source)
	target, err := unix.Openat(to, name, flags, 0)
	if err != nil {
		return pathError("open", name, err)
	}
	defer unix.Close(target)
	return Link(source, target)
}

// likeDir gives the directory to the owner, mode, attributes and times of from.
func likeDir(from, to int) error {
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return err
	}
	if err := unix.Fchown(to, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(to, st.Mode&0o7777); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	n, err := unix.Flistxattr(from, buf)
	if err != nil && err != unix.ENOTSUP {
		return err
	}
	if n > 0 {
		for _, key := range splitNames(buf[:n]) {
			value := make([]byte, 64<<10)
			size, err := unix.Fgetxattr(from, key, value)
			if err != nil {
				continue
			}
			if err := unix.Fsetxattr(to, key, value[:size], 0); err != nil && err != unix.ENOTSUP {
				return pathError("setxattr", key, err)
			}
		}
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	return unix.UtimesNanoAt(to, "", times, unix.AT_EMPTY_PATH)
}
