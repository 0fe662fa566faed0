package roots

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSpread asks ext4 to lay containers out apart from each other.
func TestSpread(t *testing.T) {
	r, err := New(filepath.Join(t.TempDir(), "state"), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Create(); err != nil {
		t.Fatal(err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(r.State, &fs); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{r.State, r.Containers(), r.Layers(), r.Volumes()} {
		d, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		flags, err := unix.IoctlGetUint32(int(d.Fd()), unix.FS_IOC_GETFLAGS)
		if on := err == nil && flags&0x00020000 != 0; on != (fs.Type == unix.EXT4_SUPER_MAGIC) {
			t.Errorf("%s: on a file system of type %x the flag is %t", dir, fs.Type, on)
		}
	}
	if err := r.Create(); err != nil {
		t.Errorf("once more: %v", err)
	}
}
