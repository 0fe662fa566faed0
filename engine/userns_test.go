package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestSubordinate(t *testing.T) {
	for _, c := range []struct {
		text, want string
		list       []specs.LinuxIDMapping
	}{
		{"a:100000:65536\n", "", []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}},
		{"# a\nb:1:1\n77:5:10\n\nab:1:1\na:300:20", "", []specs.LinuxIDMapping{{ContainerID: 0, HostID: 5, Size: 10}, {ContainerID: 10, HostID: 300, Size: 20}}},
		{"b:100000:65536\n:1:1\n", "has no IDs for a", nil},
		{"", "has no IDs for a", nil},
		{"a:0:65536\n", "no range", nil},
		{"a:100:0\n", "no range", nil},
		{"a:-5:10\n", "no range", nil},
		{"a:4294967290:10\n", "no range", nil},
		{"a:1:3000000000\na:1:3000000000\n", "no range", nil},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "subuid"), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		alias := ""
		if strings.Contains(c.text, "77") {
			alias = "77"
		}
		list, err := subordinate(dir, "subuid", "a", alias)
		if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) || !slices.Equal(list, c.list) {
			t.Errorf("%q: %v, %v", c.text, list, err)
		}
	}
}

func TestTranslate(t *testing.T) {
	u := &UserNS{
		UIDs: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 5000, Size: 10}, {ContainerID: 10, HostID: 7000, Size: 10}},
		GIDs: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100, Size: 1}},
	}
	for _, c := range [][4]int{{0, 0, 5000, 100}, {9, 0, 5009, 100}, {10, 0, 7000, 100}, {19, 0, 7009, 100}} {
		if uid, gid := u.outside(c[0], c[1]); uid != c[2] || gid != c[3] {
			t.Errorf("%d:%d is %d:%d outside", c[0], c[1], uid, gid)
		}
		if uid, gid := u.inside(c[2], c[3]); uid != c[0] || gid != c[1] {
			t.Errorf("%d:%d is %d:%d inside", c[2], c[3], uid, gid)
		}
	}
	if uid, gid := u.outside(20, 1); uid != nobody || gid != nobody {
		t.Errorf("who is not mapped is %d:%d", uid, gid)
	}
	if uid, gid := u.inside(0, 1000); uid != nobody || gid != nobody {
		t.Errorf("the host's are %d:%d", uid, gid)
	}
	if uid, gid := (*UserNS)(nil).outside(3, 4); uid != 3 || gid != 4 {
		t.Errorf("without a namespace they are %d:%d", uid, gid)
	}
}
