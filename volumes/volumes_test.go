package volumes

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"compose/internal/roots"
)

func newStore(t *testing.T) *Store {
	t.Helper()
	r, err := roots.New(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	return Open(r)
}

func TestLife(t *testing.T) {
	s := newStore(t)
	for range 2 { // the second finds the first's
		if v, err := s.Create(Config{Name: "shop_data", Labels: map[string]string{"a": "b"}}); err != nil || v.Labels["a"] != "b" {
			t.Fatal(v, err)
		}
	}
	if list, err := s.List(); err != nil || len(list) != 1 || list[0].Name != "shop_data" {
		t.Errorf("%v, %v", list, err)
	}
	if err := s.Remove("shop_data"); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove("shop_data"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed twice: %v", err)
	}
	for _, name := range []string{"", "..", "a/b", ".hidden", "a\nb"} {
		if _, err := s.Create(Config{Name: name}); err == nil {
			t.Errorf("the name %q was taken", name)
		}
	}
}

func TestCopyUp(t *testing.T) {
	s := newStore(t)
	if _, err := s.Create(Config{Name: "v"}); err != nil {
		t.Fatal(err)
	}
	from := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Chmod(from, 0o750))
	must(os.Chown(from, 5, 6))
	must(os.Mkdir(filepath.Join(from, "d"), 0o700))
	must(os.WriteFile(filepath.Join(from, "d/f"), []byte("hello"), 0o640))
	must(os.Chown(filepath.Join(from, "d/f"), 7, 8))
	must(unix.Setxattr(filepath.Join(from, "d/f"), "user.note", []byte("n"), 0))
	must(os.Link(filepath.Join(from, "d/f"), filepath.Join(from, "second")))
	must(os.Symlink("/etc/passwd", filepath.Join(from, "link")))
	fd, err := unix.Open(from, unix.O_PATH, 0)
	must(err)
	defer unix.Close(fd)
	must(s.CopyUp("v", fd))

	var top, file, second unix.Stat_t
	must(unix.Stat(s.Path("v"), &top))
	must(unix.Stat(filepath.Join(s.Path("v"), "d/f"), &file))
	must(unix.Stat(filepath.Join(s.Path("v"), "second"), &second))
	if top.Uid != 5 || top.Gid != 6 || top.Mode&0o777 != 0o750 || file.Uid != 7 || file.Mode&0o777 != 0o640 || file.Ino != second.Ino {
		t.Errorf("%+v\n%+v\n%+v", top, file, second)
	}
	if target, err := os.Readlink(filepath.Join(s.Path("v"), "link")); err != nil || target != "/etc/passwd" {
		t.Errorf("%q, %v", target, err)
	}
	value := make([]byte, 8)
	if n, err := unix.Getxattr(filepath.Join(s.Path("v"), "d/f"), "user.note", value); err != nil || string(value[:n]) != "n" {
		t.Errorf("%q, %v", value, err)
	}
	// Once filled, it is the user's.
	must(os.WriteFile(filepath.Join(from, "late"), nil, 0o600))
	must(s.CopyUp("v", fd))
	if _, err := os.Stat(filepath.Join(s.Path("v"), "late")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a volume with files was filled again: %v", err)
	}
}
