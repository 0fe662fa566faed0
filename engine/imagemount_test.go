package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLayersOf looks a path up in layers that hide one another's files.
func TestLayersOf(t *testing.T) {
	top := t.TempDir()
	layer := func(name string, paths ...string) string {
		dir := filepath.Join(top, name)
		for _, p := range paths {
			at := filepath.Join(dir, p)
			err := os.MkdirAll(filepath.Dir(at), 0o755)
			switch {
			case err != nil:
			case strings.HasSuffix(p, "/"):
				err = os.MkdirAll(at, 0o755)
			case strings.HasSuffix(p, ".wh"):
				err = unix.Mknod(strings.TrimSuffix(at, ".wh"), unix.S_IFCHR, 0)
			case strings.HasSuffix(p, ".link"):
				err = os.Symlink("/etc", at)
			default:
				err = os.WriteFile(at, nil, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	c := layer("c", "a/b/new", "gone.wh", "f", "x.link")
	b := layer("b", "a/b/", "gone/again", "a/only")
	a := layer("a", "a/b/old", "gone/first", "f")
	if err := unix.Setxattr(filepath.Join(b, "a"), "trusted.overlay.opaque", []byte("y"), 0); err != nil {
		t.Fatal(err)
	}
	all := []string{c, b, a}
	for sub, want := range map[string][]string{
		"":          all,
		"/a/b":      {c + "/a/b", b + "/a/b"}, // the lowest is hidden
		"a/../a/b/": {c + "/a/b", b + "/a/b"},
		"f":         {c + "/f"},
		"a/only":    {b + "/a/only"},
		"../../f":   {c + "/f"},
	} {
		if got, err := layersOf(all, sub); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", sub, got, err, want)
		}
	}
	for sub, want := range map[string]string{"gone": "no such file", "gone/again": "no such file", "nope/x": "no such file", "x.link/y": "symbolic link"} {
		if got, err := layersOf(all, sub); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", sub, got, err)
		}
	}
}
