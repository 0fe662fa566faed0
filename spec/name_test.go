package spec

import (
	"os"
	"path/filepath"
	"testing"
)

func TestName(t *testing.T) {
	for file, want := range map[string]string{
		"services: {}\n":                           "some-dir",
		"name: shop\nservices: {}\n":               "shop",
		"# name: no\nservices: {}\nname: late # x": "late",
		"name: \"quoted\"\nservices: {}":           "quoted",
		"'name': single":                           "single",
		"name: Upper_1":                            "upper_1",
		"name: ${WHO}-${NOBODY:-x}\n":              "me-x",
		"{name: flow, services: {}}":               "flow",
		"services:\n  name:\n    image: x\n":       "some-dir",
		"---\nname: doc\n":                         "doc",
		"  name: indented\n  services: {}\n":       "indented",
	} {
		dir := filepath.Join(t.TempDir(), "Some-Dir")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		o := Options{ProjectDir: dir, Files: []string{filepath.Join(dir, "compose.yaml")}, Environ: []string{"WHO=me"}}
		if got, err := Name(o); got != want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", file, got, err, want)
		}
		o.Environ = append(o.Environ, "COMPOSE_PROJECT_NAME=env")
		if got, err := Name(o); got != "env" || err != nil {
			t.Errorf("%q: got %q, %v, want env", file, got, err)
		}
		o.ProjectName = "flag"
		if got, err := Name(o); got != "flag" || err != nil {
			t.Errorf("%q: got %q, %v, want flag", file, got, err)
		}
	}
}
