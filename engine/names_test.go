package engine

import (
	"os"
	"path/filepath"
	"testing"

	"compose/internal/filelock"
	"compose/internal/objectname"
)

// TestSweepNames sweeps the claims of a renaming that died before it was on
// record, of one that died after that, and of a removal: not those of
// containers that are called so, and none while somebody renames one.
func TestSweepNames(t *testing.T) {
	e := newEngine(t)
	var ids []string
	for _, name := range []string{"one", "two"} {
		c, err := e.CreateContainer(t.Context(), ContainerSpec{Name: name, Image: "busybox", NetworkMode: "none"})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, c.ID)
	}
	if err := e.RenameContainer(ids[1], "called"); err != nil {
		t.Fatal(err)
	}
	for name, id := range map[string]string{"before": ids[0], "two": ids[1], "gone": objectname.NewID()} {
		if err := e.writeName(name, id); err != nil {
			t.Fatal(err)
		}
	}
	sweep := func(want int) {
		t.Helper()
		if err := e.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(e.namePath("")); err != nil || len(entries) != want {
			t.Errorf("names %v, %v, want %d", entries, err, want)
		}
	}
	lock, err := filelock.Shared(e.roots.Containers() + "/.lock")
	if err != nil {
		t.Fatal(err)
	}
	sweep(5)
	lock.Unlock()
	sweep(2)
	for i, name := range []string{"one", "called"} {
		if id, _ := e.idOfName(name); id != ids[i] {
			t.Errorf("%s is the name of %q", name, id)
		}
	}
}

// TestReleaseName ends claims: the file of one goes to what is left of its
// container, if that is there, and nobody else's goes.
func TestReleaseName(t *testing.T) {
	e := newEngine(t)
	c, err := e.CreateContainer(t.Context(), ContainerSpec{Name: "one", Image: "busybox", NetworkMode: "none"})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		id, left    string
		held, moved bool
	}{
		{objectname.NewID(), e.dir(c.ID), true, false},
		{c.ID, e.dir(c.ID), false, true},
		{c.ID, e.dir(objectname.NewID()), false, false},
		{c.ID, "", false, false},
	} {
		if err := e.writeName("one", c.ID); err != nil {
			t.Fatal(err)
		}
		if err := e.releaseName("one", step.id, step.left); err != nil {
			t.Error(err)
		}
		_, held := e.idOfName("one")
		err := os.Remove(filepath.Join(e.dir(c.ID), "name"))
		if held != step.held || (err == nil) != step.moved {
			t.Errorf("%+v: held %v, moved %v", step, held, err)
		}
	}
}
