package spec

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/loader"
)

// casts are the patterns that the loader is left with for a file.
func casts(t *testing.T, content string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "compose.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var left []string
	o := &cli.ProjectOptions{ConfigPaths: []string{file}, Environment: map[string]string{}, Name: "p"}
	withFewCasts(o)
	if err := cli.WithLoadOptions(func(l *loader.Options) {
		if l.Interpolate == nil {
			return
		}
		for pattern := range l.Interpolate.TypeCastMapping {
			left = append(left, string(pattern))
		}
	})(o); err != nil {
		t.Fatal(err)
	}
	if _, err := o.LoadModel(t.Context()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(left)
	return left
}

func TestFewCasts(t *testing.T) {
	if left := casts(t, "services:\n  a: {image: x, command: sleep 5}\n"); len(left) != 0 {
		t.Errorf("patterns that nothing matches: %q", left)
	}
	want := []string{"services.*.cpus", "services.*.ports.[].target"}
	if left := casts(t, "services:\n  a: {image: x,cpus: '${A:-1}', ports: [{target: '80'}]}\n"); !slices.Equal(left, want) {
		t.Errorf("%q, want %q", left, want)
	}
	all := len(casts(t, "services:\n  a: {image: x}\nx-a: '\\'\n"))
	if all < 50 {
		t.Fatalf("%d patterns", all)
	}
	// Keys that are not in the file in so many words.
	for name, content := range map[string]string{
		"escape": "services:\n  a: {image: x, \"c\\x70us\": '1'}\n",
		"base64": "services:\n  a: {image: x, !!binary Y3B1cw==: '1'}\n",
		"utf-16": string(utf16("services:\n  a: {image: x, cpus: '1'}\n")),
	} {
		if n := len(casts(t, content)); n != all {
			t.Errorf("%s: %d of %d patterns", name, n, all)
		}
	}
}

func utf16(text string) []byte {
	out := []byte{0xff, 0xfe}
	for i := range len(text) {
		out = append(out, text[i], 0)
	}
	return out
}

// Casts of what other files say are not in the words of the first.
func TestFewCastsOtherFiles(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"extends.yaml": "services:\n  a: {extends: {file: other.yaml, service: b}}\n",
		"include.yaml": "include: [other.yaml]\nservices: {}\n",
		"other.yaml":   "services:\n  b: {image: x, privileged: '${NONE:-true}'}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for file, service := range map[string]string{"extends.yaml": "a", "include.yaml": "b"} {
		model, _, err := Model(t.Context(), Options{Files: []string{filepath.Join(dir, file)}}, Skip{})
		if err != nil {
			t.Fatal(err)
		}
		s := model["services"].(map[string]any)[service].(map[string]any)
		if s["privileged"] != true {
			t.Errorf("%s: privileged is %T %v", file, s["privileged"], s["privileged"])
		}
	}
}
