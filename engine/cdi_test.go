package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestCDI(t *testing.T) {
	dir, later := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{
		filepath.Join(dir, "a.yaml"): `
cdiVersion: 0.6.0
kind: vendor.com/net
containerEdits: {env: [ALL=1]}
devices:
  - name: card0
    containerEdits:
      env: [CARD=old]
  - name: hooked
    containerEdits: {hooks: [{hookName: createContainer, path: /usr/bin/hook}]}
`,
		filepath.Join(later, "b.json"): `{"cdiVersion": "0.6.0", "kind": "vendor.com/net", "devices": [{"name": "card0", "containerEdits": {
			"env": ["CARD=0"], "additionalGids": [44], "deviceNodes": [{"path": "/dev/card0", "hostPath": "/dev/null", "permissions": "rw"}, {"path": "/dev/zero"}],
			"mounts": [{"hostPath": "/etc", "containerPath": "/vendor"}]}}]}`,
		filepath.Join(later, "notes.txt"): "not one",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dirs := []string{dir, later, filepath.Join(dir, "none")}
	spec := &specs.Spec{Process: &specs.Process{Env: []string{"CARD=none", "X=1"}}}
	var nodes []string
	add := func(d Device) error {
		nodes = append(nodes, d.Source+":"+d.Target+":"+d.Permissions)
		return nil
	}
	if err := addCDI(dirs, Device{Source: "vendor.com/net=card0"}, spec, add); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(nodes, " "); got != "/dev/null:/dev/card0:rw /dev/zero:/dev/zero:" {
		t.Errorf("its nodes: %s", got)
	}
	if got := strings.Join(spec.Process.Env, " "); got != "CARD=0 X=1" {
		t.Errorf("its environment: %s", got)
	}
	if m := spec.Mounts[0]; m.Source != "/etc" || m.Destination != "/vendor" || strings.Join(m.Options, ",") != "rbind,rprivate,ro,nosuid,nodev" {
		t.Errorf("its mount: %+v", m)
	}
	if g := spec.Process.User.AdditionalGids; len(g) != 1 || g[0] != 44 {
		t.Errorf("its groups: %v", g)
	}
	for device, want := range map[string]string{
		"vendor.com/net=card9":  "unresolvable CDI devices vendor.com/net=card9",
		"other.com/net=card0":   "unresolvable",
		"vendor.com/net=hooked": "wants the hook /usr/bin/hook",
	} {
		if err := addCDI(dirs, Device{Source: device}, spec, add); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", device, err)
		}
	}
	for name, is := range map[string]bool{"vendor.com/net=card0": true, "/dev/a=b/c": false, "/dev/null": false, "a=b": false, "a/b=": false} {
		if (Device{Source: name}).isCDI() != is {
			t.Errorf("%s: %v", name, !is)
		}
	}
}
