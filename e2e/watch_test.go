package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// background is a command that goes on while a scenario does.
type background struct {
	t      testing.TB
	stdout *locked
	stderr *locked
	pid    int
	signal func(os.Signal) error
	wait   func() error
}

// begins starts a command in a directory.
func (h *host) begins(dir string, args ...string) *background {
	h.t.Helper()
	b := &background{t: h.t, stdout: &locked{}, stderr: &locked{}}
	cmd := h.command(context.Background(), dir, args...)
	cmd.Stdout, cmd.Stderr = b.stdout, b.stderr
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	b.pid, b.signal, b.wait = cmd.Process.Pid, cmd.Process.Signal, cmd.Wait
	h.t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, if all is well
	return b
}

// says waits until the command has written something to its standard output.
func (b *background) says(want string) {
	b.t.Helper()
	eventually(b.t, "the output", func() error {
		if out := b.stdout.String(); !strings.Contains(out, want) {
			return fmt.Errorf("no %q in %q; stderr: %s", want, out, b.stderr.String())
		}
		return nil
	})
}

// interrupted ends the command as Ctrl+C does and compares its exit status.
func (b *background) interrupted(code int) {
	b.t.Helper()
	if err := b.signal(syscall.SIGINT); err != nil {
		b.t.Fatal(err)
	}
	b.ends(code)
}

// ends waits for the command's end and compares its exit status.
func (b *background) ends(code int) {
	b.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- b.wait() }()
	var err error
	select {
	case err = <-ended:
	case <-time.After(patience):
		b.t.Fatalf("the command goes on\nstdout: %s\nstderr: %s", b.stdout.String(), b.stderr.String())
	}
	got := 0
	if err != nil {
		got = -1
		if e, ok := err.(interface{ ExitCode() int }); ok {
			got = e.ExitCode()
		}
	}
	if got != code {
		b.t.Errorf("exit status %d, want %d\nstdout: %s\nstderr: %s", got, code, b.stdout.String(), b.stderr.String())
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// finds waits until a command inside a service prints something.
func (h *host) finds(dir, service, want string, command ...string) {
	h.t.Helper()
	eventually(h.t, strings.Join(command, " "), func() error {
		r := h.in(dir, append([]string{"exec", "-T", service}, command...)...)
		if out := r.stdout + r.stderr; strings.TrimSpace(out) != want {
			return fmt.Errorf("%q, want %q", out, want)
		}
		return nil
	})
}

// TestWatch changes files on the host and looks at them in containers.
func TestWatch(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("dev", "compose.yml", `
services:
  web:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    scale: 2
    develop:
      watch:
        - {action: sync, path: ./src, target: /app, ignore: [node_modules/], initial_sync: true}
        - {action: sync, path: ./one.conf, target: /etc/one.conf}
        - {action: sync+restart, path: ./settings, target: /settings}
        - action: sync+exec
          path: ./hooked
          target: /hooked
          exec: {command: ["sh", "-c", "cat /hooked/* > /result; echo read by $$WHO"], environment: {WHO: me}}
  other:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
`, "src/first.txt", "first", "src/sub/deep.txt", "deep", "src/node_modules/no.js", "no", "one.conf", "1", "settings/a", "1", "hooked/a", "1")
	src := filepath.Join(dir, "src")
	w := h.begins(dir, "watch", "web")
	w.says("Watch enabled\n")
	if out := h.in(dir, "ps", "--services").ok().stdout; out != "web\n" {
		t.Errorf("watch has brought up %q", out)
	}
	// What was there has been copied, into each container.
	for _, index := range []string{"1", "2"} {
		h.in(dir, "exec", "-T", "--index", index, "web", "sh", "-c", "cd /app && find . -type f | sort && cat sub/deep.txt").ok().says("./first.txt\n./sub/deep.txt\ndeep")
	}

	// Files come, change, move and go.
	write(t, filepath.Join(src, "a/b/c/new.txt"), "new")
	h.finds(dir, "web", "new", "cat", "/app/a/b/c/new.txt")
	w.says(`Syncing service "web" after `)
	if err := os.Chmod(filepath.Join(src, "first.txt"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.finds(dir, "web", "755", "stat", "-c", "%a", "/app/first.txt")
	if err := os.Rename(filepath.Join(src, "a"), filepath.Join(src, "moved")); err != nil {
		t.Fatal(err)
	}
	h.finds(dir, "web", "first.txt\nmoved\nsub", "ls", "/app")
	if err := os.Remove(filepath.Join(src, "first.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("sub/deep.txt", filepath.Join(src, "link")); err != nil {
		t.Fatal(err)
	}
	h.finds(dir, "web", "link -> sub/deep.txt", "sh", "-c", "test ! -e /app/first.txt && cd /app && readlink link | sed 's/^/link -> /'")
	write(t, filepath.Join(src, "node_modules/more.js"), "no")

	// An editor replaces a file that is watched for itself.
	write(t, filepath.Join(dir, "one.conf.new"), "2")
	if err := os.Rename(filepath.Join(dir, "one.conf.new"), filepath.Join(dir, "one.conf")); err != nil {
		t.Fatal(err)
	}
	h.finds(dir, "web", "2", "cat", "/etc/one.conf")

	// Commands and restarts.
	write(t, filepath.Join(dir, "hooked/b"), "2")
	w.says("read by me\n")
	h.finds(dir, "web", "2", "cat", "/result")
	before := h.in(dir, "ps", "-q", "web").ok().stdout
	started := h.startedAt(dir, "dev-web-1")
	write(t, filepath.Join(dir, "settings/b"), "2")
	w.says(`service(s) ["web"] restarted`)
	if now := h.startedAt(dir, "dev-web-1"); now == started {
		t.Error("sync+restart has not restarted")
	}
	h.finds(dir, "web", "2", "cat", "/settings/b")
	if after := h.in(dir, "ps", "-q", "web").ok().stdout; after != before {
		t.Errorf("a restart has changed the containers: %s to %s", before, after)
	}
	h.in(dir, "exec", "-T", "web", "ls", "/app/node_modules").fails(1, "No such file")

	// One at a time; and at the end everything runs on.
	h.in(dir, "watch").fails(1, `cannot take exclusive lock for project "dev"`)
	w.interrupted(130)
	if out := w.stdout.String(); !strings.HasSuffix(out, "Watch disabled\n") {
		t.Errorf("it ended with %q", out)
	}
	h.in(dir, "watch", "other").fails(1, "none of the selected services is configured for watch, consider setting a 'develop' section")
	h.in(dir, "down").ok()
}

func (h *host) startedAt(dir, name string) string {
	h.t.Helper()
	return h.in(dir, "container", "inspect", "--format", "{{.State.StartedAt}}", name).ok().stdout
}

// TestWatchLinks has a container lay links for what is copied into it: they
// never lead out of it.
func TestWatchLinks(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("links", "compose.yml", `
services:
  web:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    volumes: [./shared:/shared]
    develop:
      watch:
        - {action: sync, path: ./src, target: /app}
        - {action: sync+exec, path: ./shared, target: /shared, exec: {command: [touch, /seen]}}
`, "src/keep", "1", "shared/file", "mine", "outside/victim", "untouched")
	outside := filepath.Join(dir, "outside")
	h.in(dir, "up", "-d").ok()
	h.in(dir, "exec", "-T", "web", "sh", "-c", "mkdir /app && ln -s "+outside+" /app/dir && ln -s "+outside+"/victim /app/file && ln -s ../../../../../.."+outside+" /app/up").ok()
	w := h.begins(dir, "watch", "--no-up")
	w.says("Watch enabled\n")
	src := filepath.Join(dir, "src")
	for _, name := range []string{"dir/victim", "file", "up/victim"} {
		write(t, filepath.Join(src, name), "hostile")
	}
	h.finds(dir, "web", "hostile", "cat", "/app/file")
	if err := os.RemoveAll(filepath.Join(src, "dir")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(src, "last"), "last")
	h.finds(dir, "web", "last", "cat", "/app/last")
	if text, err := os.ReadFile(filepath.Join(outside, "victim")); err != nil || string(text) != "untouched" {
		t.Errorf("a link has led out of the container: %q, %v", text, err)
	}
	// A file that is in the container by a bind mount is not copied onto itself.
	write(t, filepath.Join(dir, "shared/file"), "changed")
	h.finds(dir, "web", "/seen", "ls", "/seen")
	h.finds(dir, "web", "changed", "cat", "/shared/file")
	w.interrupted(130)
	h.in(dir, "down").ok()
}

// TestUpWatch rebuilds a service while its output is shown.
func TestUpWatch(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("built", "compose.yml", `
services:
  app:
    build: .
    init: true
    stop_grace_period: 0s
    develop:
      watch: [{action: rebuild, path: .}]
  plain:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    depends_on: [app]
`, "Dockerfile", "FROM busybox\nCOPY text /text\nCMD [\"sh\", \"-c\", \"cat /text; sleep 600\"]\n", "text", "one\n", ".dockerignore", "notes\n")
	up := h.begins(dir, "up", "--watch")
	up.says("app-1    | one\n")
	up.says("⦿ Watch enabled\n")
	other := h.in(dir, "ps", "-aq", "plain").ok().stdout
	write(t, filepath.Join(dir, "notes"), "of no interest")
	write(t, filepath.Join(dir, "text"), "two\n")
	up.says(`Rebuilding service(s) ["app"] after changes were detected...`)
	up.says(`service(s) ["app"] successfully built`)
	up.says("app-1    | two\n")
	if now := h.in(dir, "ps", "-aq", "plain").ok().stdout; now != other {
		t.Errorf("another service was touched: %s to %s", other, now)
	}
	// A build that fails changes nothing.
	write(t, filepath.Join(dir, "Dockerfile"), "FROM busybox\nRUN exit 3\n")
	up.says("Build failed. Error: ")
	h.finds(dir, "app", "two", "cat", "/text")
	if strings.Contains(up.stdout.String(), "plain-1 exited") {
		t.Errorf("a service ended: %s", up.stdout.String())
	}
	up.interrupted(130)
	h.in(dir, "up", "--watch", "plain", "--no-deps").fails(1, "none of the selected services is configured for watch")
	h.in(dir, "up", "--watch", "--no-build").fails(1, "--no-build and --watch are incompatible")
	h.in(dir, "up", "--watch", "-d").fails(1, "--detach cannot be combined with")
	h.in(dir, "down", "--rmi", "local").ok()
}

// TestWatchPrune rebuilds under watch, which leaves no image without a name.
func TestWatchPrune(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("pruned", "compose.yml", `
services:
  app:
    build: .
    command: sleep 600
    stop_grace_period: 0s
    develop:
      watch: [{action: rebuild, path: ./text}]
`, "Dockerfile", "FROM busybox\nCOPY text /text\n", "text", "one")
	w := h.begins(dir, "watch", "--quiet")
	w.says("Watch enabled\n")
	write(t, filepath.Join(dir, "text"), "two")
	h.finds(dir, "app", "two", "cat", "/text")
	eventually(t, "the images", func() error {
		if out := h.in(dir, "image", "ls", "--filter", "dangling=true", "-q").ok().stdout; out != "" {
			return fmt.Errorf("left: %s", out)
		}
		return nil
	})
	w.interrupted(130)
	h.in(dir, "down", "--rmi", "local").ok()
}
