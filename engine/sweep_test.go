package engine

import (
	"os"
	"path/filepath"
	"testing"

	"compose/internal/objectname"
)

// TestSweep has a creation and a removal die where the most is left of them,
// and then another process come.
func TestSweep(t *testing.T) {
	e := newEngine(t)
	names := func(dir string) (list []string) {
		entries, _ := os.ReadDir(dir)
		for _, entry := range entries {
			if n := entry.Name(); n != ".names" && filepath.Ext(n) != ".lock" && n != ".lock" {
				list = append(list, n)
			}
		}
		return list
	}
	create := func(name string, mounts ...Mount) *Container {
		c, err := e.CreateContainer(t.Context(), ContainerSpec{Name: name, Image: "busybox", NetworkMode: "none", Mounts: mounts})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	anonymous := Mount{Type: "volume", Target: "/data"}
	made, going := create("made", anonymous), create("going", anonymous)
	kept := create("kept", going.Spec.Mounts...) // it has taken the other's volume over
	for id, dir := range map[string]string{made.ID: e.newDir(made.ID), going.ID: e.trashDir(going.ID, RemoveOptions{Volumes: true})} {
		if err := os.Rename(e.dir(id), dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := names(e.roots.Containers()); len(left) != 1 || left[0] != kept.ID {
		t.Errorf("containers: %v", left)
	}
	if left := names(e.roots.Volumes()); len(left) != 1 || left[0] != going.Spec.Mounts[0].Source {
		t.Errorf("volumes: %v", left)
	}
	if left := names(filepath.Join(e.roots.Containers(), ".names")); len(left) != 1 || left[0] != "kept" {
		t.Errorf("names: %v", left)
	}
	// One that died before the record, and a removal that keeps the volumes.
	if err := os.Mkdir(e.newDir(objectname.NewID()), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(e.dir(kept.ID), e.trashDir(kept.ID, RemoveOptions{})); err != nil {
		t.Fatal(err)
	}
	if err := e.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := names(e.roots.Containers()); len(left) != 0 {
		t.Errorf("containers: %v", left)
	}
	if left := names(e.roots.Volumes()); len(left) != 1 {
		t.Errorf("volumes: %v", left)
	}
}
