package unpack

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Archive writes a layer's directory, in overlayfs' form, as a layer's tar
// stream: sorted, and the same bytes each time for the same files. It returns
// how many bytes the files have. The directory is ours alone meanwhile.
func Archive(dir string, to io.Writer) (size int64, err error) {
	w := tar.NewWriter(to)
	links := map[uint64]string{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name := path[len(dir)+1:]
		st := info.Sys().(*syscall.Stat_t)
		if isWhiteout(info, st) {
			return w.WriteHeader(&tar.Header{
				Typeflag: tar.TypeReg, Name: filepath.Join(filepath.Dir(name), whiteoutPrefix+filepath.Base(name)),
				ModTime: modTime(info), Format: tar.FormatPAX,
			})
		}
		n, err := archiveOne(w, path, name, info, st, links)
		size += n
		return err
	})
	if err != nil {
		return 0, err
	}
	return size, w.Close()
}

func isWhiteout(info fs.FileInfo, st *syscall.Stat_t) bool {
	return info.Mode()&fs.ModeCharDevice != 0 && st.Rdev == 0
}

// modTime drops the part of a second: registries' tools write whole ones.
func modTime(info fs.FileInfo) time.Time { return info.ModTime().Truncate(time.Second).UTC() }

func archiveOne(w *tar.Writer, path, name string, info fs.FileInfo, st *syscall.Stat_t, links map[uint64]string) (int64, error) {
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if target, err = os.Readlink(path); err != nil {
			return 0, err
		}
	}
	if info.Mode()&fs.ModeSocket != 0 {
		return 0, nil // a socket's file is of no use without its process
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	h.Name, h.Format = name, tar.FormatPAX
	h.Uid, h.Gid = int(st.Uid), int(st.Gid)
	h.Uname, h.Gname = "", ""
	h.ModTime, h.AccessTime, h.ChangeTime = modTime(info), time.Time{}, time.Time{}
	if info.IsDir() {
		h.Name += "/"
	}
	if info.Mode().IsRegular() && st.Nlink > 1 {
		if first, ok := links[st.Ino]; ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
			return 0, w.WriteHeader(h)
		}
		links[st.Ino] = name
	}
	opaque, err := addXattrs(h, path)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	if err := w.WriteHeader(h); err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	if opaque {
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: filepath.Join(name, opaqueMarker), ModTime: h.ModTime, Format: tar.FormatPAX})
		if err != nil {
			return 0, err
		}
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return 0, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := io.Copy(w, f)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}

// addXattrs puts the attributes that belong to the image into the header, and
// says whether overlayfs has marked the directory opaque.
func addXattrs(h *tar.Header, path string) (opaque bool, err error) {
	buf := make([]byte, 1024)
	n, err := unix.Llistxattr(path, buf)
	if err == unix.ERANGE {
		buf = make([]byte, 1<<16)
		n, err = unix.Llistxattr(path, buf)
	}
	if err == unix.ENOTSUP {
		return false, nil
	}
	if err != nil || n == 0 {
		return false, err
	}
	for _, name := range strings.Split(strings.TrimRight(string(buf[:n]), "\x00"), "\x00") {
		value := make([]byte, 1<<16)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return false, err
		}
		if name == opaqueXattr && string(value[:n]) == "y" {
			opaque = true
		}
		if allowedXattr(name) {
			if h.PAXRecords == nil {
				h.PAXRecords = map[string]string{}
			}
			h.PAXRecords[xattrPAX+name] = string(value[:n])
		}
	}
	return opaque, nil
}
