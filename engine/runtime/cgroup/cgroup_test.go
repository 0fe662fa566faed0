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
