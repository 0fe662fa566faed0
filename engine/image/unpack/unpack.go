// Package unpack turns a layer's tar stream into a directory in overlayfs'
// form, and such a directory back into a tar stream. The stream is hostile: no
// entry of it reaches anything outside the directory.
package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	whiteoutPrefix = ".wh."
	opaqueMarker   = ".wh..wh..opq"
	opaqueXattr    = "trusted.overlay.opaque"
)

// Limits on what one layer may ask for. No real image comes near them.
const (
	maxFile    = 1 << 40 // bytes of one file
	maxHoles   = 1 << 36 // bytes of all sparse files: those cost the archive nothing
	maxEntries = 5_000_000
	maxDepth   = 512
)

// Layer unpacks an uncompressed tar stream into dir, which is empty. It
// returns how many bytes its files have. The stream may be a *Recorder.
func Layer(stream io.Reader, dir string) (size int64, err error) {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	u := &unpacker{root: root, parent: -1, buf: make([]byte, 256<<10)}
	defer u.close()
	u.recorder, _ = stream.(*Recorder)
	archive := tar.NewReader(stream)
	for n := 0; ; n++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return u.size, u.finishDirs()
		}
		if err != nil {
			return 0, fmt.Errorf("read the archive: %w", err)
		}
		if n >= maxEntries {
			return 0, fmt.Errorf("the archive has more than %d entries", maxEntries)
		}
		if err := u.entry(h, archive); err != nil {
			return 0, fmt.Errorf("entry %q: %w", h.Name, err)
		}
	}
}

type unpacker struct {
	root   int
	parent int // descriptor of parentName, or -1
	// Entries of one directory mostly follow each other: its descriptor is kept.
	parentName string
	size       int64
	sparse     int64 // bytes of the sparse files
	buf        []byte
	dirs       []dirTime
	recorder   *Recorder
}

type dirTime struct {
	name string
	time time.Time
}

func (u *unpacker) close() {
	if u.parent >= 0 {
		unix.Close(u.parent)
	}
	unix.Close(u.root)
}

// clean is the name below the root, "" for the root itself.
func clean(name string) (string, error) {
	if strings.IndexByte(name, 0) >= 0 {
		return "", errors.New("a NUL byte in the name")
	}
	c := strings.TrimPrefix(path.Clean("/"+name), "/")
	if strings.Count(c, "/") > maxDepth {
		return "", errors.New("the name is nested too deeply")
	}
	return c, nil
}

// openDir returns the descriptor of a directory below the root, made if it is
// missing. Links on the way are followed with the root as their ceiling. The
// descriptor stays the unpacker's.
func (u *unpacker) openDir(name string) (int, error) {
	if name == "." {
		name = ""
	}
	if u.parent >= 0 && u.parentName == name {
		return u.parent, nil
	}
	fd, err := u.mkdirAll(name)
	if err != nil {
		return -1, err
	}
	if u.parent >= 0 {
		unix.Close(u.parent)
	}
	u.parent, u.parentName = fd, name
	return fd, nil
}

func (u *unpacker) mkdirAll(name string) (int, error) {
	fd, err := u.openat2(name, unix.O_PATH|unix.O_DIRECTORY)
	if err != unix.ENOENT {
		return fd, err
	}
	above, err := u.mkdirAll(strings.TrimPrefix(path.Dir("/"+name), "/"))
	if err != nil {
		return -1, err
	}
	defer unix.Close(above)
	switch err := unix.Mkdirat(above, path.Base(name), 0o755); err {
	case nil:
		if err := unix.Fchmodat(above, path.Base(name), 0o755, 0); err != nil { // whatever our umask
			return -1, err
		}
	case unix.EEXIST:
	default:
		return -1, err
	}
	return u.openat2(name, unix.O_PATH|unix.O_DIRECTORY)
}

func (u *unpacker) openat2(name string, flags uint64) (int, error) {
	if name == "" {
		name = "."
	}
	for {
		fd, err := unix.Openat2(u.root, name, &unix.OpenHow{
			Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
		})
		if err != unix.EAGAIN && err != unix.EINTR {
			return fd, err
		}
	}
}

func (u *unpacker) entry(h *tar.Header, body io.Reader) error {
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil
	}
	name, err := clean(h.Name)
	if err != nil {
		return err
	}
	if name == "" {
		if h.Typeflag == tar.TypeDir {
			return u.directory(u.root, ".", "", h)
		}
		return errors.New("the top directory cannot be replaced")
	}
	above, base := path.Split("/" + name)
	if strings.Contains(above, "/"+whiteoutPrefix) {
		return nil // below one of aufs' own directories, or of a whiteout: no file of the image
	}
	dir, err := u.openDir(strings.Trim(above, "/"))
	if err != nil {
		return err
	}
	if strings.HasPrefix(base, whiteoutPrefix) {
		return u.whiteout(dir, base, h.ModTime)
	}
	if err := u.makeRoom(dir, base, h.Typeflag == tar.TypeDir, name); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return u.directory(dir, base, name, h)
	case tar.TypeReg, tar.TypeGNUSparse, '\x00':
		return u.recorder.file(name, h, func() error { return u.file(dir, base, h, body) })
	case tar.TypeSymlink:
		if err := unix.Symlinkat(h.Linkname, dir, base); err != nil {
			return err
		}
	case tar.TypeLink:
		return u.hardLink(dir, base, h.Linkname)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		if err := unix.Mknodat(dir, base, nodeMode(h), int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor)))); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown type %q", h.Typeflag)
	}
	return u.attributes(dir, base, h)
}

func nodeMode(h *tar.Header) uint32 {
	mode := uint32(h.Mode) & 0o7777
	switch h.Typeflag {
	case tar.TypeChar:
		return mode | unix.S_IFCHR
	case tar.TypeBlock:
		return mode | unix.S_IFBLK
	}
	return mode | unix.S_IFIFO
}

// whiteout records that something of a lower layer is gone.
func (u *unpacker) whiteout(dir int, base string, when time.Time) error {
	if base == opaqueMarker {
		return setxattrDir(dir, opaqueXattr, "y")
	}
	hidden := strings.TrimPrefix(base, whiteoutPrefix)
	if hidden == "" || hidden == "." || hidden == ".." || strings.HasPrefix(hidden, whiteoutPrefix) {
		return nil // aufs' own markers, which mean nothing here
	}
	if err := removeAllAt(dir, hidden, 0); err != nil {
		return err
	}
	u.forgetParent()
	if err := unix.Mknodat(dir, hidden, unix.S_IFCHR, 0); err != nil {
		return err
	}
	// Archive writes it down again.
	return setTime(dir, hidden, when, unix.AT_SYMLINK_NOFOLLOW)
}

// forgetParent drops the kept descriptor where a directory may have gone.
func (u *unpacker) forgetParent() { u.parentName = "\x00" }

// makeRoom removes what an earlier entry of the same name has made; only a
// directory stays for a directory.
func (u *unpacker) makeRoom(dir int, base string, keepDir bool, name string) error {
	var st unix.Stat_t
	err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return err
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if isDir && keepDir {
		return nil
	}
	return removeAllAt(dir, base, 0)
}

func (u *unpacker) directory(dir int, base, name string, h *tar.Header) error {
	if base != "." {
		if err := unix.Mkdirat(dir, base, 0o700); err != nil && err != unix.EEXIST {
			return err
		}
	}
	// Its time last: every entry made in it changes it.
	u.dirs = append(u.dirs, dirTime{name, h.ModTime})
	return u.attributes(dir, base, h)
}

func (u *unpacker) finishDirs() error {
	for i := len(u.dirs) - 1; i >= 0; i-- {
		d := u.dirs[i]
		fd, err := u.openat2(d.name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW)
		if err != nil {
			continue // replaced by a later entry
		}
		err = setTime(fd, "", d.time, unix.AT_EMPTY_PATH)
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) file(dir int, base string, h *tar.Header, body io.Reader) error {
	if h.Size < 0 || h.Size > maxFile {
		return fmt.Errorf("a file of %d bytes is refused: the limit is %d", h.Size, int64(maxFile))
	}
	if isSparse(h) {
		if u.sparse += h.Size; u.sparse > maxHoles {
			return fmt.Errorf("a sparse file is refused: they have %d bytes by now, the limit is %d", u.sparse, int64(maxHoles))
		}
	}
	fd, err := unix.Openat(dir, base, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	n, err := u.copy(fd, body)
	if err != nil {
		return err
	}
	if n != h.Size {
		return io.ErrUnexpectedEOF
	}
	u.size += n
	return u.attributes(dir, base, h)
}

// copy writes body to fd and leaves holes where whole blocks are zero.
func (u *unpacker) copy(fd int, body io.Reader) (int64, error) {
	var at, end int64
	for {
		n, err := io.ReadFull(body, u.buf)
		chunk := u.buf[:n]
		if n == len(u.buf) && allZero(chunk) {
			at += int64(n)
			end = at
		} else if n > 0 {
			for done := 0; done < n; {
				w, err := unix.Pwrite(fd, chunk[done:], at+int64(done))
				if err != nil {
					return 0, err
				}
				done += w
			}
			at += int64(n)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break // the caller compares what came with what was announced
		}
		if err != nil {
			return 0, err
		}
	}
	if end == at && at > 0 {
		return at, unix.Ftruncate(fd, at)
	}
	return at, nil
}

// zeros is compared with whole blocks, at many times the speed of a loop.
var zeros [64 << 10]byte

func allZero(p []byte) bool {
	for len(p) > len(zeros) {
		if !bytes.Equal(p[:len(zeros)], zeros[:]) {
			return false
		}
		p = p[len(zeros):]
	}
	return bytes.Equal(p, zeros[:len(p)])
}

// hardLink links to a file that this layer has. The link's own name is never
// followed, and neither is the target's last part.
func (u *unpacker) hardLink(dir int, base, target string) error {
	name, err := clean(target)
	if err != nil {
		return err
	}
	if name == "" {
		return errors.New("a hard link to the top directory")
	}
	from, err := u.openat2(strings.TrimPrefix(path.Dir("/"+name), "/"), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", target, err)
	}
	defer unix.Close(from)
	if err := unix.Linkat(from, path.Base(name), dir, base, 0); err != nil {
		return fmt.Errorf("hard link to %q: %w", target, err)
	}
	return nil
}

// removeAllAt removes base and what is below it, following no link.
func removeAllAt(dir int, base string, depth int) error {
	err := unix.Unlinkat(dir, base, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	if err != unix.EISDIR && err != unix.EPERM {
		return err
	}
	if depth > maxDepth {
		return errors.New("nested too deeply")
	}
	fd, err := unix.Openat(dir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buf := make([]byte, 8192)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		if len(names) == 0 {
			continue // "." and ".." are always there: from them no reading starts over
		}
		for _, name := range names {
			if err := removeAllAt(fd, name, depth+1); err != nil {
				return err
			}
		}
		if _, err := unix.Seek(fd, 0, io.SeekStart); err != nil {
			return err
		}
	}
	return unix.Unlinkat(dir, base, unix.AT_REMOVEDIR)
}
