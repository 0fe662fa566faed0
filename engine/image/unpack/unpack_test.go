package unpack

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func stream(t testing.TB, entries ...tar.Header) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range entries {
		body := ""
		if h.Typeflag == 0 {
			body = "evil"
			h.Size = int64(len(body))
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &buf
}

// TestHostileEntriesStayInside unpacks archives that try to write outside. Each
// is either refused or ends up inside; a file beside the layer tells.
func TestHostileEntriesStayInside(t *testing.T) {
	link := func(name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
	}
	for name, entries := range map[string]func(outside string) []tar.Header{
		"dots":                 func(string) []tar.Header { return []tar.Header{{Name: "../../../outside/file"}} },
		"dots inside":          func(string) []tar.Header { return []tar.Header{{Name: "a/../../outside/file"}} },
		"absolute":             func(o string) []tar.Header { return []tar.Header{{Name: o + "/file"}} },
		"absolute link above":  func(o string) []tar.Header { return []tar.Header{link("d", o), {Name: "d/file"}} },
		"relative link above":  func(string) []tar.Header { return []tar.Header{link("d", "../outside"), {Name: "d/file"}} },
		"link to link":         func(o string) []tar.Header { return []tar.Header{link("e", o), link("d", "e"), {Name: "d/file"}} },
		"write through a link": func(o string) []tar.Header { return []tar.Header{link("f", o+"/file"), {Name: "f"}} },
		"hard link out": func(o string) []tar.Header {
			return []tar.Header{{Name: "h", Typeflag: tar.TypeLink, Linkname: o + "/file"}, {Name: "h"}}
		},
		"hard link by dots": func(string) []tar.Header {
			return []tar.Header{{Name: "h", Typeflag: tar.TypeLink, Linkname: "../outside/file"}}
		},
		"hard link via a link": func(o string) []tar.Header {
			return []tar.Header{link("d", o), {Name: "h", Typeflag: tar.TypeLink, Linkname: "d/file"}}
		},
		"whiteout out":        func(string) []tar.Header { return []tar.Header{{Name: "../outside/.wh.file"}} },
		"whiteout via a link": func(o string) []tar.Header { return []tar.Header{link("d", o), {Name: "d/.wh.file"}} },
		"whiteout of dots":    func(string) []tar.Header { return []tar.Header{{Name: ".wh..."}, {Name: ".wh.."}} },
		"directory over a link": func(o string) []tar.Header {
			return []tar.Header{link("d", o), {Name: "d", Typeflag: tar.TypeDir, Mode: 0o777}, {Name: "d/file"}}
		},
		"through proc": func(string) []tar.Header { return []tar.Header{link("p", "/proc/self/cwd"), {Name: "p/file"}} },
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			outside, layer := filepath.Join(top, "outside"), filepath.Join(top, "layer")
			for _, d := range []string{outside, layer} {
				if err := os.Mkdir(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(outside, "file")
			if err := os.WriteFile(file, []byte("good"), 0o644); err != nil {
				t.Fatal(err)
			}
			_, _ = Layer(stream(t, entries(outside)...), layer)
			if text, err := os.ReadFile(file); err != nil || string(text) != "good" {
				t.Errorf("the file outside is %q, %v", text, err)
			}
			var st unix.Stat_t
			if err := unix.Stat(file, &st); err != nil || st.Nlink != 1 {
				t.Errorf("the file outside has %d names, %v", st.Nlink, err)
			}
			if list, err := os.ReadDir(outside); err != nil || len(list) != 1 {
				t.Errorf("outside has %v, %v", list, err)
			}
			if info, err := os.Stat(outside); err != nil || info.Mode().Perm() != 0o755 {
				t.Errorf("the directory outside has the mode %v, %v", info.Mode(), err)
			}
		})
	}
}

func TestForms(t *testing.T) {
	layer := t.TempDir()
	_, err := Layer(stream(t,
		tar.Header{Name: "dir", Typeflag: tar.TypeDir, Mode: 0o1777},
		tar.Header{Name: "dir/.wh..wh..opq"},
		tar.Header{Name: "dir/.wh.gone"},
		tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3, Mode: 0o666},
		tar.Header{Name: "fifo", Typeflag: tar.TypeFifo, Mode: 0o640},
		tar.Header{Name: "suid", Mode: 0o4755, Uid: 3, Gid: 4, PAXRecords: map[string]string{
			"SCHILY.xattr.user.note": "n", "SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.trusted.overlay.opaque": "y",
		}},
		tar.Header{Name: "twice"},
		tar.Header{Name: "twice", Typeflag: tar.TypeDir},
		tar.Header{Name: "deep/er/file"},
		tar.Header{Name: "left/in/here"},
		tar.Header{Name: ".wh.left"},
		tar.Header{Name: "tree/in/here"},
		tar.Header{Name: "tree", Typeflag: tar.TypeFifo},
		tar.Header{Name: "same", Typeflag: tar.TypeLink, Linkname: "/suid"},
	), layer)
	if err != nil {
		t.Fatal(err)
	}
	stat := func(name string) (st unix.Stat_t) {
		if err := unix.Lstat(filepath.Join(layer, name), &st); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return st
	}
	value := make([]byte, 16)
	if n, err := unix.Getxattr(filepath.Join(layer, "dir"), opaqueXattr, value); err != nil || string(value[:n]) != "y" {
		t.Errorf("opaque: %q, %v", value, err)
	}
	if st := stat("dir/gone"); st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0 {
		t.Errorf("whiteout: %+v", st)
	}
	if st := stat("null"); st.Mode != unix.S_IFCHR|0o666 || st.Rdev != unix.Mkdev(1, 3) {
		t.Errorf("device: %+v", st)
	}
	if st := stat("suid"); st.Mode != unix.S_IFREG|0o4755 || st.Uid != 3 || st.Gid != 4 || st.Ino != stat("same").Ino {
		t.Errorf("file: %+v", st)
	}
	if st := stat("dir"); st.Mode != unix.S_IFDIR|0o1777 {
		t.Errorf("directory: %o", st.Mode)
	}
	if st := stat("twice"); st.Mode&unix.S_IFMT != unix.S_IFDIR {
		t.Errorf("a directory in a file's place: %o", st.Mode)
	}
	stat("deep/er/file")
	if st := stat("left"); st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0 {
		t.Errorf("the whiteout of a directory with files: %+v", st)
	}
	if st := stat("tree"); st.Mode&unix.S_IFMT != unix.S_IFIFO {
		t.Errorf("another file in the place of a directory with files: %o", st.Mode)
	}
	if n, err := unix.Getxattr(filepath.Join(layer, "suid"), "user.note", value); err != nil || string(value[:n]) != "n" {
		t.Errorf("user attribute: %q, %v", value, err)
	}
	for _, name := range []string{"trusted.overlay.redirect", "trusted.overlay.opaque"} {
		if _, err := unix.Getxattr(filepath.Join(layer, "suid"), name, value); err == nil {
			t.Errorf("the image has set %s", name)
		}
	}
}

func TestSizesThatLie(t *testing.T) {
	whole := stream(t, tar.Header{Name: "a"}).Bytes()
	if _, err := Layer(bytes.NewReader(whole[:515]), t.TempDir()); err == nil {
		t.Error("a truncated archive was taken")
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Name: "huge", Size: maxFile + 1, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if _, err := Layer(&buf, t.TempDir()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a huge file: %v", err)
	}
	// A kilobyte of archive may say that it is a terabyte of file.
	began := time.Now()
	for name, archive := range map[string][]byte{"one file": sparse(t, maxFile), "many": bytes.Repeat(sparse(t, maxHoles/8)[:1024], 9)} {
		if _, err := Layer(bytes.NewReader(archive), t.TempDir()); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("sparse, %s: %v", name, err)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("sparse files took %s", took)
	}
}

// sparse is an archive in GNU's old format with a file of so many bytes, of
// which it holds the first 512.
func sparse(t testing.TB, size int64) []byte {
	t.Helper()
	const sum = 148 // where the header's checksum is
	archive := stream(t, tar.Header{Name: "sparse", Format: tar.FormatGNU}).Bytes()
	h := archive[:512]
	copy(h[124:136], fmt.Sprintf("%011o\x00", 512))
	h[156] = tar.TypeGNUSparse
	copy(h[386:], fmt.Sprintf("%011o\x00%011o\x00", 0, 512))
	h[483] = 0x80 // the real size, in binary
	binary.BigEndian.PutUint64(h[487:495], uint64(size))
	copy(h[sum:sum+8], "        ")
	total := 0
	for _, b := range h {
		total += int(b)
	}
	copy(h[sum:sum+8], fmt.Sprintf("%06o\x00 ", total))
	return archive
}
