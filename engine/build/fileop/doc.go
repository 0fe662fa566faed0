// Package fileop does a Dockerfile's file work, COPY and ADD above all, on
// directory trees. Every path that a build names is resolved by the kernel
// with the tree's top as its ceiling, so neither a hostile context nor a
// hostile image leads outside. It works on descriptors alone and therefore
// also on trees that are mounted where only one thread sees them.
package fileop

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/patternmatcher"
)

// Actions as BuildKit's graphs have them, for callers without a graph.
type (
	CopyAction   = pb.FileActionCopy
	MkdirAction  = pb.FileActionMkDir
	RemoveAction = pb.FileActionRm
)

// Tree is a directory tree to take files from.
type Tree struct {
	Root   int                            // descriptor of its top directory
	Ignore *patternmatcher.PatternMatcher // paths that count as not there; nil: none
	// AsRoot makes every file look as if owned by 0:0, as the files of a
	// build context are.
	AsRoot bool
	// Epoch makes the files' times count in digests, later ones as this one;
	// nil: no times do.
	Epoch *time.Time
}

// Owner is the user and group that new files get.
type Owner struct {
	UID, GID int
	// Of, where set, makes the owner of a copy from that of the file; UID and
	// GID are for what has no original.
	Of func(uid, gid int) (int, int)
}

// of is the owner of the copy of a file.
func (o *Owner) of(uid, gid int) (int, int) {
	switch {
	case o == nil:
		return uid, gid
	case o.Of != nil:
		return o.Of(uid, gid)
	}
	return o.UID, o.GID
}

// NotFoundError says that a path to copy is not in its tree.
type NotFoundError struct{ Path string }

func (e *NotFoundError) Error() string        { return fmt.Sprintf("%q: not found", e.Path) }
func (e *NotFoundError) Is(target error) bool { return target == fs.ErrNotExist }
