package cgroup

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestDeviceFilterLoads has the kernel's verifier look at filters, which works
// on every kernel, also where cgroup v2 has no say over devices.
func TestDeviceFilterLoads(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	deny := specs.LinuxDeviceCgroup{Access: "rwm"}
	null := specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: n(1), Minor: n(3), Access: "rwm"}
	for name, rules := range map[string][]specs.LinuxDeviceCgroup{
		"none but one": {deny, null, {Allow: true, Type: "c", Access: "m"}},
		"all":          {{Allow: true, Access: "rwm"}},
		"no end":       {null, {Allow: true, Type: "b", Major: n(8), Access: "r"}},
	} {
		program, err := deviceFilter(rules)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := loadFilter(program)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		unix.Close(fd)
	}
}

// TestCPUsFromAbove: the kernel hands the processors and memory nodes of a group
// that we have made on to those below; to one below another's, we do.
func TestCPUsFromAbove(t *testing.T) {
	h, err := host()
	if err != nil {
		t.Fatal(err)
	}
	if h.v1["cpuset"] == "" {
		t.Skip("no cpuset hierarchy of cgroup v1")
	}
	parent := fmt.Sprintf("compose-cgtest-cpus-%d", os.Getpid())
	value := func(path, file string) string {
		t.Helper()
		text, err := read(h.dir("cpuset", path), file)
		if err != nil {
			t.Error(err)
		}
		return text
	}
	create := func(path string) {
		t.Helper()
		t.Cleanup(func() { _ = Delete(path) })
		if err := Create(path); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if have, want := value(path, file), value(".", file); have != want {
				t.Errorf("%s of %s is %q, want %q", file, path, have, want)
			}
		}
	}
	create(parent + "/one")
	if err := unix.Mkdir(h.dir("cpuset", parent+"/bare"), 0o755); err != nil {
		t.Fatal(err)
	}
	if value(parent+"/bare", "cpuset.mems") == "" {
		t.Error("a group below ours is born empty")
	}
	if err := write(h.dir("cpuset", parent), "cgroup.clone_children", "0"); err != nil {
		t.Fatal(err)
	}
	create(parent + "/two")
	for _, below := range []string{"bare", "one", "two"} {
		if err := Delete(parent + "/" + below); err != nil {
			t.Error(err)
		}
	}
	if err := DeleteParent(parent); err != nil {
		t.Error(err)
	}
}

// TestCPUsFromAboveAtOnce: none of the groups that are made at once is made
// before the one above hands on what it has.
func TestCPUsFromAboveAtOnce(t *testing.T) {
	h, err := host()
	if err != nil {
		t.Fatal(err)
	}
	if h.v1["cpuset"] == "" {
		t.Skip("no cpuset hierarchy of cgroup v1")
	}
	for round := range 20 {
		parent := fmt.Sprintf("compose-cgtest-once-%d-%d", os.Getpid(), round)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				path := fmt.Sprintf("%s/%d", parent, i)
				if err := Create(path); err != nil {
					t.Error(err)
					return
				}
				if on, err := read(h.dir("cpuset", path), "cgroup.clone_children"); err != nil || on != "1" {
					t.Errorf("%s was made too early: %q, %v", path, on, err)
				}
			})
		}
		wg.Wait()
		for i := range 8 {
			if err := Delete(fmt.Sprintf("%s/%d", parent, i)); err != nil {
				t.Error(err)
			}
		}
		if err := DeleteParent(parent); err != nil {
			t.Error(err)
		}
	}
}

// TestDeleteParent takes a group away whose last hierarchy alone has something
// below it: only once that is gone, and then also where a kill has left it in
// the first hierarchy alone.
func TestDeleteParent(t *testing.T) {
	h, err := host()
	if err != nil {
		t.Fatal(err)
	}
	parent := fmt.Sprintf("compose-cgparent-%d", os.Getpid())
	dirs := h.dirs(parent)
	remove := func(path string) {
		t.Helper()
		if err := unix.Rmdir(path); err != nil {
			t.Error(err)
		}
	}
	left := func() (n int) {
		for _, d := range dirs {
			if exists(d) {
				n++
			}
		}
		return n
	}
	if err := Create(parent); err != nil {
		t.Fatal(err)
	}
	child := dirs[len(dirs)-1] + "/child"
	if err := unix.Mkdir(child, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := DeleteParent(parent); err != nil || left() != len(dirs) {
		t.Errorf("with a child: %v, it is in %d of %d hierarchies", err, left(), len(dirs))
	}
	remove(child)
	for _, d := range dirs[1:] {
		remove(d)
	}
	if err := DeleteParent(parent); err != nil || left() != 0 {
		t.Errorf("without one: %v, it is in %d hierarchies", err, left())
	}
}

// TestCreateAndDeleteSideBySide lets groups below one parent come and go at
// once, each with a process in it, while the parent is taken away when empty.
func TestCreateAndDeleteSideBySide(t *testing.T) {
	parent := fmt.Sprintf("compose-cgtest-%d", os.Getpid())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 10 {
				path := fmt.Sprintf("%s/%d-%d", parent, i, n)
				if err := Create(path); err != nil {
					t.Error(err)
					return
				}
				j, err := Open(path)
				if err != nil {
					t.Error(err)
					return
				}
				j.Close()
				if h, _ := host(); h.v1["cpuset"] != "" {
					cpus, err := os.ReadFile(h.dir("cpuset", path) + "/cpuset.cpus")
					if err != nil || len(cpus) < 2 {
						t.Errorf("the cpuset of %s is %q, %v", path, cpus, err)
					}
				}
				if err := Delete(path); err != nil {
					t.Error(err)
				}
				if err := DeleteParent(parent); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := DeleteParent(parent); err != nil {
		t.Error(err)
	}
	h, err := host()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range h.dirs(parent) {
		if exists(d) {
			t.Errorf("%s is still there", d)
		}
	}
}
