package spec

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/loader"
)

// TestPlain compares what is found without compose-go with what that finds, and
// looks at which projects it is that are plain.
func TestPlain(t *testing.T) {
	const file = "services:\n  a:\n    image: b\n"
	for _, c := range []struct {
		name  string
		dir   string
		files map[string]string
		env   map[string]string
		o     Options
		plain bool
	}{
		{name: "a file", files: map[string]string{"compose.yaml": file}, plain: true},
		{name: "every name", files: map[string]string{"docker-compose.yaml": file}, plain: true},
		{name: "an odd directory", dir: "-_My Stack.1_é-K", files: map[string]string{"compose.yml": file}, plain: true},
		{name: "a name", files: map[string]string{"docker-compose.yml": "name: Given # so\n" + file}, plain: true},
		{name: "a name of nothing", files: map[string]string{"compose.yaml": "name: \"\"\n" + file}},
		{name: "a name of a variable", files: map[string]string{"compose.yaml": "name: ${HOME:-x}\n" + file}},
		{name: "a name in a flow", files: map[string]string{"compose.yaml": `{"name": "flow", "services": {"a": {"image": "b"}}}`}},
		{name: "a name that is none", files: map[string]string{"compose.yaml": "name: ...\n" + file}, plain: true},
		{name: "an override", files: map[string]string{"compose.yaml": "name: a\n" + file, "compose.override.yaml": "name: b\n"}, plain: true},
		{name: "two files", files: map[string]string{"compose.yaml": file, "compose.yml": "name: c\n" + file}},
		{name: "two overrides", files: map[string]string{"compose.yaml": file, "compose.override.yml": "name: d\n", "compose.override.yaml": "name: e\n"}},
		{name: "variables", files: map[string]string{"compose.yaml": file, ".env": "COMPOSE_PROJECT_NAME=of-env\n"}},
		{name: "a project's name", files: map[string]string{"compose.yaml": file}, env: map[string]string{"COMPOSE_PROJECT_NAME": "of-environ"}},
		{name: "another file", files: map[string]string{"compose.yaml": file, "other.yaml": "name: f\n" + file}, env: map[string]string{"COMPOSE_FILE": "other.yaml"}},
		{name: "a file that is named", files: map[string]string{"compose.yaml": file, "other.yaml": "name: g\n" + file}, o: Options{Files: []string{"other.yaml"}}},
		{name: "another directory", files: map[string]string{"compose.yaml": file}, o: Options{ProjectDir: "/tmp"}},
		{name: "no file", files: map[string]string{"Dockerfile": "FROM scratch\n"}},
		{name: "an override alone", files: map[string]string{"compose.override.yaml": file}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "stack"+c.dir)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for name, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			t.Chdir(dir)
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			name, ok := c.o.plainName()
			if ok != c.plain {
				t.Fatalf("it is plain: %v", ok)
			}
			options, err := c.o.options(nil)
			if !ok || err != nil {
				return // TestName has those
			}
			if want, err := projectName(options); err != nil || name != want {
				t.Errorf("its name is %q, for compose-go %q (%v)", name, want, err)
			}
			if vars, err := EnvFileVariables(c.o); err != nil || len(vars) > 0 || len(options.EnvFiles) > 0 {
				t.Errorf("it has the variables %v (%v), for compose-go in %v", vars, err, options.EnvFiles)
			}
		})
	}
}

// TestFileNames fails when compose-go comes to look for other files.
func TestFileNames(t *testing.T) {
	if !slices.Equal(fileNames, cli.DefaultFileNames) || !slices.Equal(overrideNames, cli.DefaultOverrideFileNames) {
		t.Errorf("files %q and %q, for compose-go %q and %q", fileNames, overrideNames, cli.DefaultFileNames, cli.DefaultOverrideFileNames)
	}
}

func TestNormalized(t *testing.T) {
	for _, name := range []string{"", "a", "_-a_-", "Upper Case", "Ünï", "\xff9", "K", "a.b/c", "--", "0-x"} {
		if have, want := normalized(name), loader.NormalizeProjectName(name); have != want {
			t.Errorf("%q becomes %q, for compose-go %q", name, have, want)
		}
	}
}
