package e2e

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// untouched fails the scenario if a refused command has made anything.
func (h *host) untouched() {
	h.t.Helper()
	if left := leftovers(h.root); len(left) > 0 {
		h.t.Errorf("the refused command left %q", left)
	}
}

func TestUnknownImage(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	// A name on loopback where nothing listens: the answer does not depend on the internet.
	dir := h.project("p", "compose.yaml", "services:\n  a:\n    image: localhost:1/nothing/here:1\n")
	h.in(dir, "up", "-d").fails(1, "localhost:1/nothing/here:1")
	h.untouched()
	if out := h.compose("image", "ls", "--quiet").ok().stdout; out != "" {
		t.Errorf("an image came out of nowhere: %s", out)
	}
}

func TestBadComposeFile(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for name, c := range map[string]struct {
		file string
		want []string
	}{
		"misspelt key":      {"services:\n  a:\n    image: x\n    comand: ls\n", []string{"compose.yaml:4:5", "comand", "command"}},
		"wrong type":        {"services:\n  a:\n    image: x\n    ports: 80\n", []string{"compose.yaml:4:", "ports"}},
		"syntax":            {"services:\n  a:\n    image: [x\n", []string{"compose.yaml:"}},
		"undefined network": {"services:\n  a:\n    image: x\n    networks: [nowhere]\n", []string{"compose.yaml:4:", "nowhere"}},
		"undefined volume":  {"services:\n  a:\n    image: x\n    volumes: ['nowhere:/data']\n", []string{"compose.yaml:4:", "nowhere"}},
		"bad duration":      {"services:\n  a:\n    image: x\n    stop_grace_period: soon\n", []string{"compose.yaml:4:", "stop_grace_period"}},
		"unset required":    {"services:\n  a:\n    image: ${NOT_SET_ANYWHERE:?give it a value}\n", []string{"compose.yaml:3:", "give it a value"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := h.project("p", "compose.yaml", c.file)
			r := h.in(dir, "up", "-d").fails(1, c.want...)
			if lines := strings.Count(strings.TrimSpace(r.stderr), "\n") + 1; lines != 1 {
				t.Errorf("the error takes %d lines, want 1:\n%s", lines, r.stderr)
			}
		})
	}
	h.untouched()
}

func TestNoComposeFile(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.in(t.TempDir(), "up", "-d").fails(1, "no configuration file provided: not found")
	h.untouched()
}

func TestDependencyCycle(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	dir := h.project("p", "compose.yaml", `services:
  a: {image: x, depends_on: [b]}
  b: {image: x, depends_on: [c]}
  c: {image: x, depends_on: [a]}
`)
	r := h.in(dir, "up", "-d").fails(1, "cycle")
	if !strings.Contains(r.stderr, "a -> b -> c -> a") {
		t.Errorf("the cycle's path is not named:\n%s", r.stderr)
	}
	h.untouched()
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	dir := h.project("p", "compose.yaml", "services:\n  a:\n    image: busybox\n    command: sleep 1000\n    ports: ['"+port+":80']\n")
	h.in(dir, "up", "-d").fails(1, port, filepath.Base(os.Args[0]), strconv.Itoa(os.Getpid()))
	h.untouched()
}

// TestPortHeldByAnotherProject names the container that has the port.
func TestPortHeldByAnotherProject(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	first := h.project("first", "compose.yaml", "services:\n  a:\n    image: busybox\n    command: sleep 1000\n    stop_grace_period: 0s\n    ports: ['127.0.0.1::80']\n")
	h.in(first, "up", "-d").ok()
	_, port, _ := net.SplitHostPort(strings.TrimSpace(h.in(first, "port", "a", "80").ok().stdout))
	second := h.project("second", "compose.yaml", "services:\n  a:\n    image: busybox\n    command: sleep 1000\n    ports: ['"+port+":80']\n")
	h.in(second, "up", "-d").fails(1, port, "first-a-1")
	if out := h.in(second, "ps", "-a", "-q").ok().stdout; out != "" {
		t.Errorf("the refused project has containers: %s", out)
	}
	h.in(first, "down").ok()
}

func TestEntrypointThatDoesNotExist(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("p", "compose.yaml", "services:\n  a:\n    image: busybox\n    entrypoint: /no/such/program\n")
	h.in(dir, "up", "-d").fails(1, "/no/such/program", "no such file or directory")
	h.in(dir, "run", "--rm", "--entrypoint", "nope", "a").fails(127, `exec: "nope": executable file not found in $PATH`)
	h.in(dir, "run", "--rm", "--entrypoint", "/etc/passwd", "a").fails(126, "permission denied")
	h.in(dir, "down").ok()
	h.untouched()
}

func TestNotRoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("services:\n  a:\n    image: busybox\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for d := dir; d != "/"; d = filepath.Dir(d) {
		if info, err := os.Stat(d); err == nil && info.Mode().Perm()&0o5 != 0o5 {
			os.Chmod(d, info.Mode().Perm()|0o5)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "up", "-d")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "COMPOSE_ROOT=" + filepath.Join(dir, "root")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("exit status %d, want 1", cmd.ProcessState.ExitCode())
	}
	if !strings.Contains(string(out), "root") || strings.Count(strings.TrimSpace(string(out)), "\n") != 0 {
		t.Errorf("one line that names root is wanted, got:\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(dir, "root")); err == nil {
		t.Error("the refused command made its root directory")
	}
}
