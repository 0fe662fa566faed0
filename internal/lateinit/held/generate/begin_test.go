package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestUses has a package with initialisers of all kinds look for those that call
// what is held.
func TestUses(t *testing.T) {
	const source = `package p

import (
	"example.com/held/v2"
	other "example.com/held/b"
	"example.com/free"
)

var (
	one   = held.One()
	two   = []any{free.F(other.Two())}
	three = func() { held.Later() }
	four  held.Type
	five  = free.New()
)

type t struct{}

func init() {
	if five != nil {
		held.Five(func() { other.Later() })
	}
}

func (t) init() { held.Later() }

func later() { held.Later() }
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	all := packages{"compose/p": {ImportPath: "compose/p", Dir: dir, GoFiles: []string{"p.go"}}}
	found, err := all.uses(func(path string) bool { return path == "example.com/held/v2" || path == "example.com/held/b" })
	at := filepath.Join(dir, "p.go")
	want := []string{at + ":10:10: One", at + ":11:23: Two", at + ":21:3: Five"}
	if err != nil || !slices.Equal(found, want) {
		t.Errorf("found %q, want %q (%v)", found, want, err)
	}
}
