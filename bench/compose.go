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

// findPeer returns Docker Compose where its engine answers and has a busybox
// image, and nil otherwise.
func findPeer(dir string) *compose {
	if exec.Command("docker", "compose", "version").Run() != nil {
		return nil
	}
	if exec.Command("docker", "image", "inspect", "busybox").Run() != nil {
		return nil
	}
	return &compose{argv: []string{"docker", "compose"}, dir: filepath.Join(dir, "peer"), env: os.Environ()}
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
	argv := append(append([]string{}, c.argv...), args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, c.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err = cmd.Run()
	took := time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out.String())
	}
	return took, nil
}

func (c *compose) cleanUp() {
	dirs, _ := filepath.Glob(filepath.Join(c.dir, "stack*"))
	for _, dir := range dirs {
		cmd := exec.Command(c.argv[0], append(append([]string{}, c.argv[1:]...), "down", "-t", "0")...)
		cmd.Dir, cmd.Env = dir, c.env
		cmd.Run()
	}
}

// memory is the proportional set size, in MiB, of our processes while n
// containers run; the containers' own processes do not count.
func (c *compose) memory(n int) (float64, error) {
	if _, err := c.time(n, "up", "-d"); err != nil {
		return 0, err
	}
	total := 0
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		argv, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if !bytes.HasPrefix(argv, []byte("compose-")) || !bytes.Contains(environ, []byte(c.dir)) {
			continue
		}
		rollup, err := os.ReadFile(filepath.Join(dir, "smaps_rollup"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(rollup)) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
				kib, _ := strconv.Atoi(f[1])
				total += kib
			}
		}
	}
	if total == 0 {
		return 0, fmt.Errorf("no supervisor was found to weigh")
	}
	_, err := c.time(n, "down", "-t", "0")
	return float64(total) / 1024, err
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
