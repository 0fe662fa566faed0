package spec

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// TestEdited replaces words of a file in all their forms.
func TestEdited(t *testing.T) {
	text := "# ÄÖ\na: {ü: 'x y', v: \"x\"} # x\nb:\n  - x\n  - path: x # kept\n"
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	top := document(&root)
	edits := map[*yaml.Node]string{
		valueOf(valueOf(top, "a"), "ü"):   "one",
		valueOf(valueOf(top, "a"), "v"):   "two",
		envFileNode(valueOf(top, "b"), 0): "three",
		envFileNode(valueOf(top, "b"), 1): "four",
	}
	got := string(edited([]byte(text), edits))
	want := strings.NewReplacer("'x y'", "one", `"x"`, "two", "- x", "- three", "path: x", "path: four").Replace(text)
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, n := range []*yaml.Node{nil, valueOf(top, "a"), top} {
		if envFileNode(n, 3) != nil {
			t.Error("there is a path where there is none")
		}
	}
}
