package build

import (
	"io/fs"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// epochArg is the build argument that no time in an image is later than
// (reproducible-builds.org's specification).
const epochArg = "SOURCE_DATE_EPOCH"

// epochKey is a part of the keys of what changes files: layers whose times are
// cut off at different moments are different layers.
func (s *session) epochKey() string {
	if s.epoch == nil {
		return ""
	}
	return "epoch " + strconv.FormatInt(s.epoch.Unix(), 10)
}

// settle cuts off the times of all that is below a directory at the epoch.
func (s *session) settle(dir string) error {
	if s.epoch == nil {
		return nil
	}
	at := unix.NsecToTimespec(s.epoch.UnixNano())
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || !info.ModTime().After(*s.epoch) {
			return err
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// created is when a layer counts as made.
func (s *session) created() time.Time {
	if s.epoch != nil {
		return s.epoch.UTC()
	}
	return time.Now().UTC()
}

// InheritEpoch takes the epoch over from the environment; an argument that is
// given goes before it.
func InheritEpoch(args map[string]string, getenv func(string) string) {
	if v := getenv(epochArg); v != "" && args[epochArg] == "" {
		args[epochArg] = v
	}
}
