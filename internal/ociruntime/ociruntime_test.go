package ociruntime

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good", "#!/bin/sh\necho good version 1\necho spec: 1.0.2\n")
	write("plain", "#!/bin/sh\necho plain 1\n")
	config := write("daemon.json", `{"runtimes": {"named": {"path": "`+good+`", "runtimeArgs": ["--quiet"]}, "gone": {"path": "/nowhere/runtime"}, "shim": {"runtimeType": "io.containerd.x.v1"}}}`)
	t.Setenv("PATH", dir)
	for name, want := range map[string]string{
		"":                      "",
		"compose":               "",
		"io.containerd.runc.v2": "",
		"runc":                  "", // none is installed
		"good":                  good,
		good:                    good,
		"named":                 good + " --quiet",
		"plain":                 "error: " + filepath.Join(dir, "plain") + " is no OCI runtime",
		"nvidia":                "error: unknown or invalid runtime name: nvidia",
		"gone":                  "error: /nowhere/runtime by " + config + ", which is not there",
		"shim":                  "error: has no path in " + config,
	} {
		p, err := find(name, config)
		if text, failed := strings.CutPrefix(want, "error: "); failed {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%q: %v", name, err)
			}
			continue
		}
		got := ""
		if p != nil {
			got = strings.Join(slices.Concat([]string{p.Path}, p.Args), " ")
		}
		if err != nil || got != want {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	bad := write("bad.json", "{")
	if _, err := find("good", bad); err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("a bad file: %v", err)
	}
}
