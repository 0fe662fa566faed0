package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstall puts the binary where a user wants it, under Docker's names only
// when they ask for it, and never in the place of another program.
func TestInstall(t *testing.T) {
	t.Parallel()
	install := func(prefix string, args ...string) (string, error) {
		cmd := exec.Command("make", append([]string{"-C", repo(t), "install", "PREFIX=" + prefix}, args...)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	prefix := t.TempDir()
	if out, err := install(prefix); err != nil {
		t.Fatal(out)
	}
	if _, err := os.Lstat(filepath.Join(prefix, "bin/docker")); err == nil {
		t.Error("docker is there without being asked for")
	}
	for range 2 {
		if out, err := install(prefix, "DOCKER_ALIAS=1"); err != nil {
			t.Fatal(out)
		}
	}
	for name, want := range map[string]string{"docker": "Docker version ", "docker-compose": "compose version "} {
		out, err := exec.Command(filepath.Join(prefix, "bin", name), "--version").CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("%s --version: %v, %s", name, err, out)
		}
	}
	other := t.TempDir()
	if err := os.MkdirAll(filepath.Join(other, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "bin/docker"), []byte("theirs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := install(other, "DOCKER_ALIAS=1"); err == nil || !strings.Contains(out, "is not ours: remove it first") {
		t.Errorf("over another docker: %v, %s", err, out)
	}
	if data, err := os.ReadFile(filepath.Join(other, "bin/docker")); err != nil || string(data) != "theirs" {
		t.Errorf("their docker is now %q", data)
	}
}
