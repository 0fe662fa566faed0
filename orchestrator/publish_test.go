package orchestrator

import (
	"os"
	"path/filepath"
	"testing"

	"compose/engine/image"
)

// TestWritePublished writes files of applications as registries may have them.
func TestWritePublished(t *testing.T) {
	compose := func(text string, notes map[string]string) image.File {
		return image.File{MediaType: artifactFile, Data: []byte(text), Annotations: notes}
	}
	dir := t.TempDir()
	err := writePublished(dir, &image.FileSet{Files: []image.File{
		compose("a: 1", map[string]string{noteFile: "compose.yaml"}),
		compose("x: 1", map[string]string{noteFile: "h.yaml", noteExtends: "true"}),
		{MediaType: "application/vnd.of.others", Data: []byte("?")},
		compose("b: 2", map[string]string{noteFile: "../over.yaml"}), // its name does not count
		{MediaType: artifactEnv, Data: []byte("A=1"), Annotations: map[string]string{noteEnvFile: "e.env"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"compose.yaml": "a: 1\n---\nb: 2", "h.yaml": "x: 1", "e.env": "A=1"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	for _, name := range []string{"../x", "/etc/x", "..", ".", "", "a/b", `a\b`, "compose.yaml", "a\x00b"} {
		for _, f := range []image.File{
			{MediaType: artifactEnv, Annotations: map[string]string{noteEnvFile: name}},
			compose("x: 1", map[string]string{noteFile: name, noteExtends: "true"}),
		} {
			if err := writePublished(t.TempDir(), &image.FileSet{Files: []image.File{compose("a: 1", nil), f}}); err == nil {
				t.Errorf("a file of the name %q was written", name)
			}
		}
	}
	if err := writePublished(t.TempDir(), &image.FileSet{}); err == nil {
		t.Error("an application without a file was written")
	}
}
