package engine

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMountPoints starts containers of an image that has no mount points: none
// is made in the layer of a container, which has what its program writes. Any
// user can read them, whatever the umask of the first start was.
func TestMountPoints(t *testing.T) {
	e := newEngine(t)
	old := unix.Umask(0o077)
	_, err := e.bottom()
	unix.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	c := create(t, e, ContainerSpec{
		Name: "reader", Image: "busybox", NetworkMode: "none", User: "1000",
		Command: []string{"sh", "-c", "cat /etc/hostname && ls -d /proc/1 /sys/class /dev/null"},
	})
	for range 2 {
		if text, _ := output(t, e, c.ID); text != c.ID[:12]+"\n/dev/null\n/proc/1\n/sys/class\n" {
			t.Errorf("%q", text)
		}
	}
	if made, err := os.ReadDir(filepath.Join(e.dir(c.ID), "upper")); err != nil || len(made) > 0 {
		t.Errorf("its layer has %v, %v", made, err)
	}
	if changes, err := e.Diff(t.Context(), c.ID); err != nil || len(changes) > 0 {
		t.Errorf("it has changed %v, %v", changes, err)
	}
	writer := create(t, e, ContainerSpec{Name: "writer", Image: "busybox", NetworkMode: "none", Command: []string{"mkdir", "/etc/made"}})
	output(t, e, writer.ID)
	changes, err := e.Diff(t.Context(), writer.ID)
	if want := []Change{{'C', "/etc"}, {'A', "/etc/made"}}; err != nil || !slices.Equal(changes, want) {
		t.Errorf("it has changed %v, %v", changes, err)
	}
}
