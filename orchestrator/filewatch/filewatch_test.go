package filewatch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// heard collects batches until every one of the paths has been told of, and
// returns all that was.
func heard(t *testing.T, w *Watcher, want ...string) []string {
	t.Helper()
	var all []string
	limit := time.After(patience)
	for {
		missing := slices.DeleteFunc(slices.Clone(want), func(p string) bool { return slices.Contains(all, p) })
		if len(missing) == 0 {
			return all
		}
		select {
		case batch, ok := <-w.Batches():
			if !ok {
				t.Fatalf("the watcher ended: %v", w.Err())
			}
			all = append(all, batch...)
		case <-limit:
			t.Fatalf("never heard of %q; of %q", missing, all)
		}
	}
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func watch(t *testing.T, skip func(string) bool, paths ...string) *Watcher {
	t.Helper()
	w, err := New(paths, skip)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestTree changes files in directories that were there, came, moved and left.
func TestTree(t *testing.T) {
	dir := tempDir(t)
	deep := write(t, filepath.Join(dir, "a/b/c.txt"), "1")
	w := watch(t, nil, dir)

	write(t, deep, "2")
	heard(t, w, deep)

	// A whole tree at once: its files are told of though nobody could watch
	// their directories before they were there.
	first := write(t, filepath.Join(dir, "new/x/y/z/file"), "1")
	heard(t, w, first)
	write(t, first, "2")
	heard(t, w, first)

	// A directory that has been moved is watched under its new name only.
	moved := filepath.Join(dir, "moved")
	if err := os.Rename(filepath.Join(dir, "new"), moved); err != nil {
		t.Fatal(err)
	}
	heard(t, w, filepath.Join(dir, "new"), filepath.Join(moved, "x/y/z/file"))
	write(t, filepath.Join(moved, "x/y/z/file"), "3")
	if all := heard(t, w, filepath.Join(moved, "x/y/z/file")); slices.Contains(all, first) {
		t.Errorf("the old name was told of: %q", all)
	}

	if err := os.RemoveAll(moved); err != nil {
		t.Fatal(err)
	}
	heard(t, w, moved)
	if err := os.Chmod(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	heard(t, w, deep)
}

// TestOutside moves a directory out of the watched tree, where it is nobody's
// business any more.
func TestOutside(t *testing.T) {
	dir := tempDir(t)
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	write(t, filepath.Join(in, "sub/file"), "1")
	w := watch(t, nil, in)
	if err := os.Rename(filepath.Join(in, "sub"), out); err != nil {
		t.Fatal(err)
	}
	heard(t, w, filepath.Join(in, "sub"))
	write(t, filepath.Join(out, "file"), "2")
	write(t, filepath.Join(in, "last"), "1")
	for _, path := range heard(t, w, filepath.Join(in, "last")) {
		if path != filepath.Join(in, "last") {
			t.Errorf("told of %s", path)
		}
	}
}

// TestFile watches one file, which editors replace rather than write.
func TestFile(t *testing.T) {
	dir := tempDir(t)
	file := write(t, filepath.Join(dir, "conf"), "1")
	w := watch(t, nil, file)
	write(t, filepath.Join(dir, "other"), "not of interest")
	if err := os.Rename(write(t, filepath.Join(dir, "conf.tmp"), "2"), file); err != nil {
		t.Fatal(err)
	}
	for _, path := range heard(t, w, file) {
		if path != file {
			t.Errorf("told of %s", path)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	heard(t, w, file)
}

// TestMissing watches a path that only comes to be later, and once more after
// it was removed with all above it.
func TestMissing(t *testing.T) {
	dir := tempDir(t)
	root := filepath.Join(dir, "one/two/three")
	w := watch(t, nil, root)
	for range 2 {
		file := write(t, filepath.Join(root, "sub/file"), "1")
		heard(t, w, file)
		write(t, file, "2")
		heard(t, w, file)
		if err := os.RemoveAll(filepath.Join(dir, "one")); err != nil {
			t.Fatal(err)
		}
		heard(t, w, file)
	}
}

// TestAbove removes and moves away what is above a watched path; under its old
// name it is watched again.
func TestAbove(t *testing.T) {
	dir := tempDir(t)
	root := filepath.Join(dir, "one/two/three")
	file := write(t, filepath.Join(root, "file"), "1")
	w := watch(t, nil, root)
	write(t, file, "2")
	heard(t, w, file)
	for _, goes := range []func() error{
		func() error { return os.RemoveAll(filepath.Join(dir, "one/two")) },
		func() error { return os.Rename(filepath.Join(dir, "one/two"), filepath.Join(dir, "away")) },
	} {
		if err := goes(); err != nil {
			t.Fatal(err)
		}
		write(t, file, "3")
		heard(t, w, file)
		write(t, file, "4")
		heard(t, w, file)
	}
}

// TestSkip leaves a directory out, though not what is watched for itself in it.
func TestSkip(t *testing.T) {
	dir := tempDir(t)
	for _, d := range []string{"skipped/deep", "skipped/wanted", "kept"} {
		write(t, filepath.Join(dir, d, "file"), "1")
	}
	skipped := func(d string) bool { return strings.HasPrefix(d, filepath.Join(dir, "skipped")) }
	wanted := filepath.Join(dir, "skipped/wanted")
	w := watch(t, skipped, dir, wanted)
	write(t, filepath.Join(wanted, "file"), "2")
	heard(t, w, filepath.Join(wanted, "file"))
	write(t, filepath.Join(dir, "skipped/deep/file"), "2")
	kept := write(t, filepath.Join(dir, "kept/file"), "2")
	for _, path := range heard(t, w, kept) {
		if path != kept {
			t.Errorf("told of %s", path)
		}
	}
}

// TestClose ends the batches, also while one waits for somebody to take it.
func TestClose(t *testing.T) {
	dir := tempDir(t)
	w := watch(t, nil, dir)
	write(t, filepath.Join(dir, "file"), "1")
	w.Close()
	w.Close()
	for range w.Batches() {
	}
	if err := w.Err(); err != nil {
		t.Error(err)
	}
}
