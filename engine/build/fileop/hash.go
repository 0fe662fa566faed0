package fileop

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"
	"os"
	"slices"
	"time"

	"github.com/moby/buildkit/solver/pb"
	"golang.org/x/sys/unix"

	"compose/internal/lateinit"
)

// Sum is a SHA-256 digest.
type Sum = [sha256.Size]byte

// Summer gives the digest of a file's content. An index over many builds
// answers for a file that has not changed without reading it.
type Summer interface {
	// Sum is for the regular file name in the directory dir; st is its stat.
	Sum(dir int, name string, st *unix.Stat_t) (Sum, error)
}

// Read is a Summer that reads every file.
type Read struct{}

// Sum implements Summer.
func (Read) Sum(dir int, name string, _ *unix.Stat_t) (Sum, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return Sum{}, pathError("open", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return Sum{}, pathError("read", name, err)
	}
	return Sum(h.Sum(nil)), nil
}

// Hash is the digest of all that Copy with the same action would take from
// src and that its result depends on: names, kinds, modes, owners, extended
// attributes and content, but no times unless there is an epoch.
func Hash(ctx context.Context, src Tree, a *pb.FileActionCopy, files Summer) (Sum, error) {
	lateinit.Run(lateinit.Builds)
	s, err := newSelection(ctx, src, a)
	if err != nil {
		return Sum{}, err
	}
	list, err := s.sources(a)
	if err != nil {
		return Sum{}, err
	}
	h := &hasher{files: files, epoch: src.Epoch, sum: sha256.New(), links: map[inode]string{}}
	for _, real := range list {
		// The name of what is selected counts where it becomes the target's.
		h.field(real)
		if err := s.walk(real, h); err != nil {
			return Sum{}, err
		}
	}
	return Sum(h.sum.Sum(nil)), nil
}

// HashPath is the digest of the file or tree at name, links on the way
// followed, for a mount of it.
func HashPath(ctx context.Context, src Tree, name string, files Summer) (Sum, error) {
	lateinit.Run(lateinit.Builds)
	return Hash(ctx, src, &pb.FileActionCopy{Src: name, FollowSymlink: true, DirCopyContents: true}, files)
}

type inode struct{ dev, ino uint64 }

type hasher struct {
	files Summer
	epoch *time.Time
	sum   hash.Hash
	links map[inode]string // the first name of a file with several
	buf   []byte
}

func (h *hasher) field(s string) {
	h.buf = binary.AppendUvarint(h.buf[:0], uint64(len(s)))
	h.buf = append(h.buf, s...)
	h.sum.Write(h.buf)
}

func (h *hasher) stat(e *entry) {
	h.field(e.rel)
	h.buf = binary.AppendUvarint(h.buf[:0], uint64(e.st.Mode))
	h.buf = binary.AppendUvarint(h.buf, uint64(e.st.Uid))
	h.buf = binary.AppendUvarint(h.buf, uint64(e.st.Gid))
	if h.epoch != nil {
		h.buf = binary.AppendVarint(h.buf, min(e.st.Mtim.Sec, h.epoch.Unix()))
	}
	h.sum.Write(h.buf)
}

func (h *hasher) enter(e *entry) error {
	h.stat(e)
	return h.attrs(e)
}

func (h *hasher) leave(*entry) error { return nil }

func (h *hasher) file(e *entry) error {
	h.stat(e)
	switch e.st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if e.st.Nlink > 1 {
			key := inode{e.st.Dev, e.st.Ino}
			if first, ok := h.links[key]; ok {
				h.field("link " + first)
				return nil
			}
			h.links[key] = e.rel
		}
		sum, err := h.files.Sum(e.dir, e.name, &e.st)
		if err != nil {
			return err
		}
		h.sum.Write(sum[:])
		return h.attrs(e)
	case unix.S_IFLNK:
		target, err := readlinkat(e.dir, e.name)
		if err != nil {
			return pathError("readlink", e.rel, err)
		}
		h.field(target)
	case unix.S_IFCHR, unix.S_IFBLK:
		h.buf = binary.AppendUvarint(h.buf[:0], e.st.Rdev)
		h.sum.Write(h.buf)
	}
	return nil
}

func (h *hasher) attrs(e *entry) error {
	list, err := xattrsAt(e.dir, e.name)
	if err != nil {
		return err
	}
	for _, x := range list {
		h.field(x.name)
		h.field(string(x.value))
	}
	return nil
}

type xattr struct {
	name  string
	value []byte
}

// xattrsAt reads the extended attributes that a copy carries over: those that
// belong to the host's own file systems and policy stay behind.
func xattrsAt(dir int, name string) ([]xattr, error) {
	at := procPath(dir, name)
	buf := make([]byte, 256)
	n, err := unix.Llistxattr(at, buf)
	if err == unix.ERANGE {
		buf = make([]byte, 64<<10)
		n, err = unix.Llistxattr(at, buf)
	}
	if err != nil {
		if err == unix.ENOTSUP || err == unix.EPERM {
			return nil, nil
		}
		return nil, pathError("listxattr", name, err)
	}
	if n == 0 {
		return nil, nil
	}
	var out []xattr
	for _, key := range splitNames(buf[:n]) {
		if !carried(key) {
			continue
		}
		size, err := unix.Lgetxattr(at, key, nil)
		if err != nil {
			continue
		}
		value := make([]byte, size)
		if size > 0 {
			if size, err = unix.Lgetxattr(at, key, value); err != nil {
				continue
			}
		}
		out = append(out, xattr{key, value[:size]})
	}
	slices.SortFunc(out, func(a, b xattr) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return out, nil
}
