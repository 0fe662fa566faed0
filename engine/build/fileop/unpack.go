package fileop

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/ulikunitz/xz"
	"golang.org/x/sys/unix"

	"compose/internal/zstd"
)

// unpack extracts the source into the target if it is a tar archive, plain or
// compressed with gzip, bzip2, xz or zstd, and says whether it was one.
func (c *copier) unpack(src Tree, real string) (bool, error) {
	fd, err := openIn(src.Root, real, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, nil // Copy finds better words, or takes a link as it is
	}
	f := os.NewFile(uintptr(fd), real)
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return false, nil
	}
	r, err := decompress(f)
	if err != nil {
		return false, nil
	}
	defer r.Close()
	archive := tar.NewReader(r)
	first, err := archive.Next()
	if err != nil {
		return false, nil
	}
	if err := c.mkdirAll(path.Clean("/" + c.action.Dest)); err != nil {
		return true, err
	}
	top, err := openIn(c.root, c.action.Dest, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return true, pathError("open", c.action.Dest, err)
	}
	defer unix.Close(top)
	x := &extraction{root: top, owner: c.owner}
	for h := first; ; {
		if err := x.add(h, archive); err != nil {
			return true, fmt.Errorf("unpack %s: %s: %w", real, h.Name, err)
		}
		if h, err = archive.Next(); errors.Is(err, io.EOF) {
			return true, x.finish()
		} else if err != nil {
			return true, fmt.Errorf("unpack %s: %w", real, err)
		}
	}
}

// decompress looks at the first bytes of r and undoes what they announce.
func decompress(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, _ := b.Peek(6)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzip.NewReader(b)
	case bytes.HasPrefix(head, []byte("BZh")):
		return io.NopCloser(bzip2.NewReader(b)), nil
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		x, err := xz.NewReader(b)
		return io.NopCloser(x), err
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return zstd.NewReader(b, 1, 0)
	}
	return io.NopCloser(b), nil
}

// extraction writes the entries of an archive below a directory that is the
// ceiling for their names and links.
type extraction struct {
	root  int
	owner *Owner
	dirs  []dirTime
}

type dirTime struct {
	name string
	time time.Time
}

func (x *extraction) add(h *tar.Header, content io.Reader) error {
	name := path.Clean("/" + h.Name)
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil
	case tar.TypeDir, tar.TypeReg, tar.TypeSymlink, tar.TypeLink, tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
	default:
		return fmt.Errorf("entries of type %q are not supported", h.Typeflag)
	}
	if name == "/" {
		return nil
	}
	above := path.Dir(name)
	if err := mkdirAll(x.root, above, 0o755, x.owner, nil); err != nil {
		return err
	}
	dir, err := openIn(x.root, above, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	base := path.Base(name)
	var old unix.Stat_t
	exists := unix.Fstatat(dir, base, &old, unix.AT_SYMLINK_NOFOLLOW) == nil
	if exists && !(isDir(&old) && h.Typeflag == tar.TypeDir) {
		if err := removeAt(dir, base); err != nil {
			return err
		}
		exists = false
	}
	if err := x.make(h, content, dir, base, exists); err != nil || h.Typeflag == tar.TypeLink {
		return err
	}
	return x.describe(h, dir, base, name)
}

func (x *extraction) make(h *tar.Header, content io.Reader, dir int, base string, exists bool) error {
	device := int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor)))
	switch h.Typeflag {
	case tar.TypeDir:
		if exists {
			return nil
		}
		return unix.Mkdirat(dir, base, 0o700)
	case tar.TypeSymlink:
		return unix.Symlinkat(h.Linkname, dir, base)
	case tar.TypeLink:
		target := path.Clean("/" + h.Linkname)
		from, err := openIn(x.root, path.Dir(target), unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer unix.Close(from)
		return unix.Linkat(from, path.Base(target), dir, base, 0)
	case tar.TypeChar:
		return unix.Mknodat(dir, base, unix.S_IFCHR|0o600, device)
	case tar.TypeBlock:
		return unix.Mknodat(dir, base, unix.S_IFBLK|0o600, device)
	case tar.TypeFifo:
		return unix.Mknodat(dir, base, unix.S_IFIFO|0o600, 0)
	}
	fd, err := unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	_, err = io.Copy(f, content)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

func (x *extraction) describe(h *tar.Header, dir int, base, name string) error {
	uid, gid := x.owner.of(h.Uid, h.Gid)
	if err := unix.Fchownat(dir, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeSymlink {
		if err := unix.Fchmodat(dir, base, uint32(h.Mode)&0o7777, 0); err != nil {
			return err
		}
		var list []xattr
		for key, value := range h.PAXRecords {
			if n, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok && carried(n) {
				list = append(list, xattr{n, []byte(value)})
			}
		}
		if err := setXattrs(dir, base, list); err != nil {
			return err
		}
	}
	if h.Typeflag == tar.TypeDir {
		x.dirs = append(x.dirs, dirTime{name, h.ModTime})
		return nil
	}
	return unix.UtimesNanoAt(dir, base, timespecs(h.ModTime), unix.AT_SYMLINK_NOFOLLOW)
}

// finish gives directories their times, which filling them has changed.
func (x *extraction) finish() error {
	for _, d := range x.dirs {
		fd, err := openIn(x.root, path.Dir(d.name), unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			continue
		}
		err = unix.UtimesNanoAt(fd, path.Base(d.name), timespecs(d.time), unix.AT_SYMLINK_NOFOLLOW)
		unix.Close(fd)
		if err != nil && !isMissing(err) {
			return pathError("utimes", d.name, err)
		}
	}
	return nil
}
