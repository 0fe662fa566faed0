package unpack

import (
	"archive/tar"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const xattrPAX = "SCHILY.xattr."

// attributes sets owner, extended attributes, mode and time, in the order in
// which none undoes another.
func (u *unpacker) attributes(dir int, base string, h *tar.Header) error {
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) > 1<<32-2 || int64(h.Gid) > 1<<32-2 {
		return fmt.Errorf("owner %d:%d is out of range", h.Uid, h.Gid)
	}
	if err := unix.Fchownat(dir, base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set the owner: %w", err)
	}
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, xattrPAX); ok {
			if err := setxattr(dir, base, name, value); err != nil {
				return err
			}
		}
	}
	if h.Typeflag != tar.TypeSymlink {
		// What lies there is what we made a moment ago, and no link: plain
		// fchmodat does not follow anything.
		if err := unix.Fchmodat(dir, base, uint32(h.Mode)&0o7777, 0); err != nil {
			return fmt.Errorf("set the mode: %w", err)
		}
	}
	if h.Typeflag == tar.TypeDir {
		return nil
	}
	return setTime(dir, base, h.ModTime, unix.AT_SYMLINK_NOFOLLOW)
}

// allowedXattr says whether an image may set an attribute. Those of overlayfs
// itself would let a layer point outside its own tree.
func allowedXattr(name string) bool {
	return name == "security.capability" || strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "system.posix_acl_")
}

func setxattr(dir int, base, name, value string) error {
	if !allowedXattr(name) {
		return nil
	}
	err := unix.Lsetxattr(fmt.Sprintf("/proc/self/fd/%d/%s", dir, base), name, []byte(value), 0)
	if err == unix.ENOTSUP || err == unix.EPERM && strings.HasPrefix(name, "user.") {
		return nil // user attributes exist on files and directories only
	}
	if err != nil {
		return fmt.Errorf("set the attribute %s: %w", name, err)
	}
	return nil
}

func setxattrDir(dir int, name, value string) error {
	if err := unix.Setxattr(fmt.Sprintf("/proc/self/fd/%d", dir), name, []byte(value), 0); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	return nil
}

func setTime(dir int, base string, t time.Time, flags int) error {
	if t.Year() < 1 || t.Year() > 9999 {
		t = time.Unix(0, 0)
	}
	ts := unix.NsecToTimespec(t.UnixNano())
	if t.Unix() > 1<<33 || t.Unix() < -1<<31 {
		ts = unix.Timespec{}
	}
	if err := unix.UtimesNanoAt(dir, base, []unix.Timespec{ts, ts}, flags); err != nil {
		return fmt.Errorf("set the time: %w", err)
	}
	return nil
}
