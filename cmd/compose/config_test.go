package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/tree"
	"github.com/mattn/go-shellwords"
	"go.yaml.in/yaml/v4"
	"golang.org/x/tools/txtar"
)

// The golden outputs in testdata/config are Docker Compose's own: its binary,
// v5.7.1, printed them for the files beside them. To record them anew:
//
//	go test ./cmd/compose -run TestConfigGolden -args -peer /path/to/docker-compose
//
// A case is a txtar archive: a comment, command lines, and files. `! ` before
// a command line says that it is refused, `env A=b` sets a variable and
// `cd dir` changes the directory for what follows. What the nth command
// printed is in the section "printed n".
var peerBinary = flag.String("peer", "", "the Docker Compose binary that the golden outputs are to be recorded from")

// homeOfCases stands in golden outputs for the directory a case runs in.
const homeOfCases = "/project"

func TestConfigGolden(t *testing.T) {
	for _, path := range configCases(t) {
		name := strings.TrimSuffix(strings.TrimPrefix(path, "testdata/config/"), ".txtar")
		t.Run(name, func(t *testing.T) {
			c := openConfigCase(t, path)
			dir := filepath.Join(t.TempDir(), homeOfCases)
			c.write(t, dir)
			t.Chdir(dir)
			restoreEnv(t)
			c.run(t, dir)
			if *peerBinary != "" {
				if err := os.WriteFile(c.path, txtar.Format(c.archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestConfigGoldenCovers wants every attribute of the specification's schema
// in some case.
func TestConfigGoldenCovers(t *testing.T) {
	root := &attribute{}
	for _, path := range schema.AttributePaths() {
		node := root
		for _, step := range path.Parts() {
			if node.children[step] == nil {
				if node.children == nil {
					node.children = map[string]*attribute{}
				}
				node.children[step] = &attribute{path: path}
			}
			node = node.children[step]
		}
	}
	for _, path := range configCases(t) {
		if strings.HasPrefix(path, "testdata/config/errors/") {
			continue
		}
		for _, f := range openConfigCase(t, path).archive.Files {
			var model any
			if ext := filepath.Ext(f.Name); ext == ".yaml" && yaml.Unmarshal(f.Data, &model) == nil {
				root.see(model)
			}
		}
	}
	root.missing(t)
}

// attribute is a node of the tree of all that the schema knows.
type attribute struct {
	path     tree.Path
	seen     bool
	children map[string]*attribute
}

func (a *attribute) see(value any) {
	if a == nil {
		return
	}
	a.seen = true
	switch v := value.(type) {
	case map[string]any:
		for key, entry := range v {
			a.children[key].see(entry)
			a.children["*"].see(entry)
		}
	case []any:
		for _, entry := range v {
			a.children["[]"].see(entry)
		}
	}
}

func (a *attribute) missing(t *testing.T) {
	if !a.seen {
		t.Errorf("no case in testdata/config has %s", a.path)
		return
	}
	for _, child := range a.children {
		child.missing(t)
	}
}

func configCases(t *testing.T) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir("testdata/config", func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".txtar" {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

type configCase struct {
	path    string
	archive *txtar.Archive
}

func openConfigCase(t *testing.T, path string) *configCase {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := txtar.ParseFile(abs)
	if err != nil {
		t.Fatal(err)
	}
	return &configCase{abs, archive}
}

// write lays the case's files out.
func (c *configCase) write(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range c.archive.Files {
		if strings.HasPrefix(f.Name, "printed ") {
			continue
		}
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// restoreEnv leaves a process that knows no more than HOME and PATH.
func restoreEnv(t *testing.T) {
	t.Helper()
	before := os.Environ()
	t.Cleanup(func() {
		os.Clearenv()
		for _, kv := range before {
			name, value, _ := strings.Cut(kv, "=")
			os.Setenv(name, value)
		}
	})
	os.Clearenv()
	os.Setenv("HOME", "/root")
	os.Setenv("PATH", "/usr/bin:/bin")
}

func (c *configCase) run(t *testing.T, dir string) {
	n := 0
	for line := range strings.Lines(string(c.archive.Comment)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		words, err := shellwords.Parse(line)
		if err != nil || len(words) == 0 {
			t.Fatalf("%q: %v", line, err)
		}
		switch words[0] {
		case "env":
			name, value, _ := strings.Cut(words[1], "=")
			os.Setenv(name, value)
			continue
		case "cd":
			t.Chdir(filepath.Join(dir, words[1]))
			os.Unsetenv("PWD") // both programs work it out
			continue
		}
		n++
		refused := words[0] == "!"
		if refused {
			words = words[1:]
		}
		section := fmt.Sprint("printed ", n)
		if *peerBinary != "" {
			c.record(t, dir, section, words, refused)
		}
		stdout, stderr, code := runInProcess(t, words)
		if (code != 0) != refused {
			t.Errorf("%s: exit status %d\n%s", strings.TrimSpace(line), code, stderr)
			continue
		}
		if refused {
			if stderr == "" || strings.Count(stderr, "\n") != 1+strings.Count(stderr, "warning: ") {
				t.Errorf("%s: the error is not one line:\n%s", strings.TrimSpace(line), stderr)
			}
			continue
		}
		got, want := inOrder(words, golden(stdout, dir)), inOrder(words, c.section(section))
		if got != want {
			t.Errorf("%s prints\n%s\nand not\n%s", strings.TrimSpace(line), got, want)
		}
	}
}

// runInProcess carries out a command line of ours.
func runInProcess(t *testing.T, args []string) (stdout, stderr string, code int) {
	t.Helper()
	var files [2]*os.File
	for i := range files {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	app := &App{Stdin: os.Stdin, Stdout: files[0], Stderr: files[1]}
	code = app.run(t.Context(), args)
	var texts [2]string
	for i, f := range files {
		data, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(data)
	}
	return texts[0], texts[1], code
}

// record has the peer print a golden output.
func (c *configCase) record(t *testing.T, dir, section string, words []string, refused bool) {
	t.Helper()
	if words[0] == "convert" {
		words = append([]string{"config"}, words[1:]...)
	}
	var stderr strings.Builder
	cmd := exec.Command(*peerBinary, words...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if (err != nil) != refused {
		t.Errorf("the peer: %s: %v\n%s", strings.Join(words, " "), err, stderr.String())
	}
	c.archive.Files = slices.DeleteFunc(c.archive.Files, func(f txtar.File) bool { return f.Name == section })
	if !refused {
		c.archive.Files = append(c.archive.Files, txtar.File{Name: section, Data: []byte(inOrder(words, golden(string(out), dir)))})
	}
}

func (c *configCase) section(name string) string {
	for _, f := range c.archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

// golden is an output that does not depend on where the case ran, and ends in
// a newline, as a section of an archive does.
func golden(text, dir string) string {
	text = strings.ReplaceAll(text, strings.TrimSuffix(dir, homeOfCases), "")
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// inOrder sorts the lines of lists that Docker Compose prints in any order.
func inOrder(words []string, text string) string {
	if slices.Contains(words, "--format") {
		return text
	}
	for _, list := range []string{"--services", "--volumes", "--networks", "--models", "--images", "--variables"} {
		if slices.Contains(words, list) {
			lines := strings.SplitAfter(text, "\n")
			slices.Sort(lines)
			return strings.Join(lines, "")
		}
	}
	return text
}
