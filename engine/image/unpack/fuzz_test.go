package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// maxFuzzed is how many bytes of files an input may announce: the limits that
// Layer has are for real layers and take minutes to reach.
const maxFuzzed = 1 << 26

// FuzzUnpack unpacks anything beside a directory of which nothing may change,
// not even its times. What is unpacked can be archived, and that archive gives,
// unpacked and archived again, the same archive.
func FuzzUnpack(f *testing.F) {
	link := func(name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
	}
	hard := func(name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to}
	}
	dir := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o777} }
	for _, entries := range [][]tar.Header{
		{{Name: "a"}, link("b", "/"), {Name: "b/c"}},
		{{Name: "../outside/file"}, {Name: "/../../outside/new"}},
		{link("d", "../outside"), {Name: "d/file"}, dir("d"), {Name: "d/.wh.file"}},
		{link("d", ".."), hard("h", "d/outside/file"), {Name: "h"}},
		{hard("h", "../outside/file"), hard("h", "h"), dir("h")},
		{{Name: "../outside/.wh.file"}, {Name: ".wh.outside"}, {Name: ".wh..."}, {Name: "x/.wh..wh..opq"}},
		{link("l", "m"), link("m", "l"), {Name: "l/x"}, {Name: "m"}},
		{dir("x/y"), {Name: "x/y/z"}, {Name: "x", Typeflag: tar.TypeFifo}, {Name: "x/y"}},
		{{Name: "dev", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, {Name: "none", Typeflag: tar.TypeChar}, hard("n", "none")},
		{{Name: "a", PAXRecords: map[string]string{"SCHILY.xattr.user.a": "1", "SCHILY.xattr.trusted.overlay.redirect": "/"}}},
		{link("p", "/proc/self/root"), {Name: "p/outside"}, dir("."), dir("..")},
	} {
		f.Add(stream(f, entries...).Bytes())
	}
	f.Add(sparse(f, 1<<20))
	f.Fuzz(func(t *testing.T, data []byte) {
		if announced(data) > maxFuzzed {
			t.Skip()
		}
		unpackBeside(t, data)
	})
}

// FuzzUnpackEntries is FuzzUnpack for archives that are none but for what their
// entries say: one byte for the type, two for the name, two for the target.
// Most bytes of FuzzUnpack's inputs are a checksum away from being any archive.
func FuzzUnpackEntries(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{2, 0, 4, 3, 0, 0, 0, 5, 0, 0})                // a -> ../outside, then a/file
	f.Add([]byte{5, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0}) // a directory with a file, then its whiteout
	f.Add([]byte{2, 0, 0, 3, 9, 1, 1, 1, 0, 5, 0, 1, 1, 0, 0}) // a hard link by way of a link
	f.Fuzz(func(t *testing.T, data []byte) {
		parts := []string{"", "a", "b", "..", "outside", "file", ".", "layer", ".wh.a", ".wh.outside", ".wh.file", ".wh..wh..opq", "/", ".wh..", "proc/self/root", ".wh.b"}
		name := func(p []byte) string {
			return parts[p[0]&15] + "/" + parts[p[0]>>4] + "/" + parts[p[1]&15] + "/" + parts[p[1]>>4]
		}
		types := []byte{tar.TypeReg, tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeDir, tar.TypeFifo}
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		for ; len(data) >= 5; data = data[5:] {
			h := &tar.Header{Typeflag: types[int(data[0]&15)%len(types)], Name: name(data[1:]), Linkname: name(data[3:]), Mode: int64(data[0]>>4) << 8}
			body := data[:0]
			if h.Typeflag == tar.TypeReg {
				body, h.Size, h.Name = data[:5], 5, path.Clean(h.Name) // with a slash at its end it would be a directory
			}
			if w.WriteHeader(h) != nil {
				continue // a file named "/"
			}
			if _, err := w.Write(body); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		unpackBeside(t, buf.Bytes())
	})
}

// unpackBeside unpacks an archive beside a directory of which nothing may
// change, and goes on with what has come of it.
func unpackBeside(t *testing.T, data []byte) {
	t.Helper()
	top := t.TempDir()
	outside, layer := filepath.Join(top, "outside"), filepath.Join(top, "layer")
	for _, d := range []string{outside, layer} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(outside, "file"), []byte("good"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := states(t, outside)
	var record bytes.Buffer
	recorder := NewRecorder(bytes.NewReader(data), &record)
	_, err := Layer(recorder, layer)
	if after := states(t, outside); !maps.Equal(before, after) {
		t.Fatalf("outside there was %+v and is now %+v", before, after)
	}
	if list, err := os.ReadDir(top); err != nil || len(list) != 2 {
		t.Fatalf("beside the layer: %v, %v", list, err)
	}
	if err != nil {
		return
	}
	if recorder.Err() == nil {
		// It may fail, as a file that the archive has twice is there once.
		_ = Replay(layer, &record, io.Discard)
	}
	archivedAgain(t, layer, filepath.Join(top, "again"))
}

// announced is how many bytes of files an archive says that it has.
func announced(data []byte) (sum int64) {
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if err != nil {
			return sum
		}
		if isSparse(h) {
			sum += min(max(h.Size, 0), maxFuzzed+1)
		}
	}
}

// state is what may not change of a file outside; the time of its last change
// covers what is not named here.
type state struct {
	mode  uint32
	nlink uint64
	mtime unix.Timespec
	ctime unix.Timespec
}

func states(t *testing.T, dir string) map[string]state {
	t.Helper()
	out := map[string]state{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		err = errors.Join(err, unix.Lstat(path, &st))
		out[path[len(dir):]] = state{st.Mode, uint64(st.Nlink), st.Mtim, st.Ctim}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// archivedAgain archives a layer, unpacks the archive elsewhere, and wants the
// same archive of that.
func archivedAgain(t *testing.T, layer, again string) {
	t.Helper()
	if err := os.Mkdir(again, 0o755); err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	if _, err := Archive(layer, &first); err != nil {
		t.Fatalf("archive what was unpacked: %v", err)
	}
	if _, err := Layer(bytes.NewReader(first.Bytes()), again); err != nil {
		t.Fatalf("unpack our own archive: %v", err)
	}
	if _, err := Archive(again, &second); err != nil {
		t.Fatalf("archive it again: %v", err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Fatalf("a layer that was archived and unpacked gives another archive:\n%s\n%s", listing(first.Bytes()), listing(second.Bytes()))
	}
}

// listing is an archive for the reader of a failed test.
func listing(archive []byte) string {
	var out strings.Builder
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if err != nil {
			return out.String()
		}
		fmt.Fprintf(&out, "%c %q -> %q %o %d %d:%d %s %v\n", h.Typeflag, h.Name, h.Linkname, h.Mode, h.Size, h.Uid, h.Gid, h.ModTime, h.PAXRecords)
	}
}
