package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// compose is one command that understands Docker Compose's command line: ours
// in a root of its own, or the peer.
type compose struct {
	argv []string
	env  []string
	dir  string // holds one project directory for each stack size
}

func newCompose(binary, dir string) (*compose, error) {
	c := &compose{argv: []string{binary}, dir: dir, env: append(os.Environ(), "COMPOSE_ROOT="+filepath.Join(dir, "root"), "COMPOSE_PROGRESS=plain")}
	image, err := busyboxImage()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "image", "import", "-", "busybox")
	cmd.Env, cmd.Stdin = c.env, bytes.NewReader(image)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("import the image: %w\n%s", err, out)
	}
	return c, nil
}

// findPeers returns the tools with Docker Compose's command line whose engine
// answers and has a busybox image. BENCH_COMPOSE names another Docker Compose
// than docker's plugin; DOCKER_HOST says where its engine is.
func findPeers(dir string) map[string]*compose {
	peers := map[string]*compose{}
	docker := []string{"docker", "compose"}
	if other := os.Getenv("BENCH_COMPOSE"); other != "" {
		docker = []string{other}
	}
	for _, p := range []struct {
		name  string
		argv  []string
		image []string
	}{
		{"docker compose", docker, []string{"docker", "image", "inspect", "busybox"}},
		{"podman-compose", []string{"podman-compose"}, []string{"podman", "image", "exists", "busybox"}},
	} {
		version := exec.Command(p.argv[0], append(p.argv[1:], "version")...)
		if version.Run() == nil && exec.Command(p.image[0], p.image[1:]...).Run() == nil {
			peers[p.name] = &compose{argv: p.argv, dir: filepath.Join(dir, strings.ReplaceAll(p.name, " ", "-")), env: os.Environ()}
		}
	}
	return peers
}

// file makes the project directory of a stack of n services that only sleep.
func (c *compose) file(n int) (string, error) {
	dir := filepath.Join(c.dir, "stack"+strconv.Itoa(n))
	var b strings.Builder
	b.WriteString("services:\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "  s%d:\n    image: busybox\n    command: sleep 1000000\n", i)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(b.String()), 0o644)
}

// time runs one command in the directory of the stack of n services.
func (c *compose) time(n int, args ...string) (time.Duration, error) {
	dir, err := c.file(n)
	if err != nil {
		return 0, err
	}
	_, took, err := c.in(dir, args...)
	return took, err
}

// in runs one command in a directory and returns what it printed, and how long
// it took.
func (c *compose) in(dir string, args ...string) (string, time.Duration, error) {
	argv := append(append([]string{}, c.argv...), args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, c.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out.String())
	}
	return out.String(), took, nil
}

func (c *compose) cleanUp() {
	dirs, _ := filepath.Glob(filepath.Join(c.dir, "stack*"))
	for _, dir := range dirs {
		cmd := exec.Command(c.argv[0], append(append([]string{}, c.argv[1:]...), "down", "-t", "0")...)
		cmd.Dir, cmd.Env = dir, c.env
		cmd.Run()
	}
}

// busyboxImage is a root file system with Debian's static busybox.
func busyboxImage() ([]byte, error) {
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return nil, fmt.Errorf("install Debian's busybox-static: %w", err)
	}
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, h := range []*tar.Header{
		{Name: "bin/busybox", Mode: 0o755, Size: int64(len(program))},
		{Name: "bin/sh", Typeflag: tar.TypeSymlink, Linkname: "busybox"},
		{Name: "bin/sleep", Typeflag: tar.TypeSymlink, Linkname: "busybox"},
		{Name: "bin/true", Typeflag: tar.TypeSymlink, Linkname: "busybox"},
		{Name: "bin/seq", Typeflag: tar.TypeSymlink, Linkname: "busybox"},
		{Name: "bin/ip", Typeflag: tar.TypeSymlink, Linkname: "busybox"},
	} {
		if err := tw.WriteHeader(h); err != nil {
			return nil, err
		}
		if h.Size > 0 {
			if _, err := tw.Write(program); err != nil {
				return nil, err
			}
		}
	}
	return buf.Bytes(), tw.Close()
}
