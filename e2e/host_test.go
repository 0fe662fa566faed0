package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"compose/internal/roots"
)

// host is one installation with a root of its own: what a scenario runs on.
// When the scenario ends, nothing of it may be left.
type host struct {
	t     testing.TB
	root  string // --root
	netns string // run inside this network namespace, where not empty
	env   []string
}

// tags are those of all hosts so far.
var tags sync.Map

// newHost makes an installation with an empty store. Its path is short because
// a socket's path may have 107 bytes at most.
func newHost(t testing.TB) *host {
	t.Helper()
	root, err := os.MkdirTemp("", "ce-")
	if err != nil {
		t.Fatal(err)
	}
	// Two roots whose paths have the same tag would meet: among the hundreds of
	// hosts of a run that is no more than unlikely.
	if _, met := tags.LoadOrStore(roots.Roots{State: root}.Tag(), root); met {
		if err := os.Remove(root); err != nil {
			t.Fatal(err)
		}
		return newHost(t)
	}
	h := &host{t: t, root: root}
	t.Cleanup(func() {
		if t.Failed() {
			h.dump()
		}
		h.takeDown()
		for _, left := range leftovers(root) {
			t.Errorf("left behind: %s", left)
		}
		if err := os.RemoveAll(root); err != nil {
			t.Errorf("remove the root: %v", err)
		}
	})
	return h
}

// takeDown ends whatever a failed scenario left running, so that it spoils no other.
func (h *host) takeDown() {
	projects := strings.Fields(h.compose("ls", "--all", "--quiet").stdout)
	// Some may have a network only.
	projects = append(projects, strings.Fields(h.compose("network", "ls", "--format", `{{.Label "com.docker.compose.project"}}`).stdout)...)
	slices.Sort(projects)
	for _, name := range slices.Compact(projects) {
		h.compose("-p", name, "down", "--volumes", "--remove-orphans", "--timeout", "0")
	}
	if ids := strings.Fields(h.compose("container", "ls", "--all", "--quiet").stdout); len(ids) > 0 {
		h.compose(append([]string{"container", "rm", "--force", "--volumes"}, ids...)...)
	}
	if h.t.Failed() {
		h.compose("network", "prune", "--force")
	}
}

// dump shows what the supervisors said, for the reader of a failed test.
func (h *host) dump() {
	logs, _ := filepath.Glob(filepath.Join(h.root, "projects", "*", "supervisor.log"))
	for _, path := range logs {
		data, _ := os.ReadFile(path)
		if len(data) > 4096 {
			data = data[len(data)-4096:]
		}
		h.t.Logf("%s:\n%s", path, data)
	}
}

// result is what one command printed and how it ended.
type result struct {
	t      testing.TB
	line   string
	stdout string
	stderr string
	code   int
}

// compose runs one command to its end, at most ten minutes.
func (h *host) compose(args ...string) result {
	return h.in(h.root, args...)
}

// in runs one command in a directory.
func (h *host) in(dir string, args ...string) result {
	h.t.Helper()
	return h.run(10*time.Minute, dir, nil, args...)
}

func (h *host) run(limit time.Duration, dir string, stdin io.Reader, args ...string) result {
	h.t.Helper()
	return h.runAs("compose", limit, dir, stdin, args...)
}

// docker runs the same binary under the name that makes it take Docker's verbs.
func (h *host) docker(args ...string) result {
	h.t.Helper()
	return h.runAs("docker", patience, h.root, nil, args...)
}

func (h *host) runAs(name string, limit time.Duration, dir string, stdin io.Reader, args ...string) result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := h.command(ctx, dir, args...)
	if h.netns == "" {
		cmd.Args[0] = name
	}
	cmd.Stdin = stdin
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	r := result{t: h.t, line: name + " " + strings.Join(args, " "), stdout: stdout.String(), stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		h.t.Fatalf("%s: did not end within %s\nstdout: %s\nstderr: %s", r.line, limit, r.stdout, r.stderr)
	case errors.As(err, &exit):
		r.code = exit.ExitCode()
	case err != nil:
		h.t.Fatalf("%s: %v\nstderr: %s", r.line, err, r.stderr)
	}
	return r
}

// command prepares a command for scenarios that start it and go on.
func (h *host) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	name := binary
	if h.netns != "" {
		// Not "ip netns exec": it hides the cgroup file systems.
		args = append([]string{"--net=/run/netns/" + h.netns, binary}, args...)
		name = "nsenter"
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "COMPOSE_ROOT="+h.root, "COMPOSE_PROGRESS=plain"), h.env...)
	return cmd
}

// ok fails the scenario unless the command ended with status 0.
func (r result) ok() result {
	r.t.Helper()
	if r.code != 0 {
		r.t.Fatalf("%s: exit status %d\nstdout: %s\nstderr: %s", r.line, r.code, r.stdout, r.stderr)
	}
	return r
}

// fails fails the scenario unless the command ended with this status and named
// all of these on standard error, without a Go panic.
func (r result) fails(code int, named ...string) result {
	r.t.Helper()
	if r.code != code {
		r.t.Fatalf("%s: exit status %d, want %d\nstdout: %s\nstderr: %s", r.line, r.code, code, r.stdout, r.stderr)
	}
	for _, want := range named {
		if !strings.Contains(r.stderr, want) {
			r.t.Errorf("%s: standard error does not say %q:\n%s", r.line, want, r.stderr)
		}
	}
	for _, bad := range []string{"panic:", "goroutine "} {
		if strings.Contains(r.stderr, bad) {
			r.t.Errorf("%s: standard error shows a crash:\n%s", r.line, r.stderr)
		}
	}
	return r
}

// project writes files into a new directory named name and returns its path.
// The files are given as pairs of a relative path and its content.
func (h *host) project(name string, files ...string) string {
	h.t.Helper()
	dir := filepath.Join(h.t.TempDir(), name)
	for i := 0; i+1 < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			h.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o644); err != nil {
			h.t.Fatal(err)
		}
	}
	return dir
}

// busybox makes an image of that name: Debian's static busybox with all its
// applets and the few files that a root file system has.
func (h *host) busybox(ref string) {
	h.t.Helper()
	stocked.Do(func() {
		one := &host{t: h.t, root: stock}
		one.run(patience, os.TempDir(), bytes.NewReader(busyboxTar(h.t)), "image", "import", "--change", `CMD ["sh"]`, "-", "busybox").ok()
	})
	if _, err := os.Stat(filepath.Join(h.root, "images")); ref != "busybox" || err == nil {
		h.run(patience, h.root, bytes.NewReader(busyboxTar(h.t)), "image", "import", "--change", `CMD ["sh"]`, "-", ref).ok()
		return
	}
	// An empty store takes over the one that was made before. Layers never
	// change, so that links do.
	for flags, dir := range map[string]string{"-a": "images", "-al": "layers"} {
		if out, err := exec.Command("cp", flags, filepath.Join(stock, dir), h.root).CombinedOutput(); err != nil {
			h.t.Fatalf("copy the stock of images: %v: %s", err, out)
		}
	}
}

// stock is a root with the image busybox, made by the first scenario that wants it.
var (
	stock   string
	stocked sync.Once
)

func busyboxTar(t testing.TB) []byte {
	t.Helper()
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("the scenarios need Debian's busybox-static: %v", err)
	}
	applets, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	add := func(hdr *tar.Header, body []byte) {
		hdr.Size = int64(len(body))
		hdr.ModTime = time.Unix(1700000000, 0)
		if err := tw.WriteHeader(hdr); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"bin", "etc", "proc", "sys", "dev", "root", "var", "var/www"} {
		add(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}, nil)
	}
	add(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp", Mode: 0o1777}, nil)
	add(&tar.Header{Name: "bin/busybox", Mode: 0o755}, program)
	for _, applet := range strings.Fields(string(applets)) {
		if applet != "busybox" {
			add(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox"}, nil)
		}
	}
	add(&tar.Header{Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000:guest:/tmp:/bin/sh\n"))
	add(&tar.Header{Name: "etc/group", Mode: 0o644}, []byte("root:x:0:\nguest:x:1000:\nstaff:x:50:guest\n"))
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// patience is how long is waited for what happens in its own time. Nothing but
// a failure takes it up; on a loaded machine everything takes ten times as long.
const patience = 3 * time.Minute

// eventually calls check until it returns nil, as long as patience lasts. It is
// for what another party does in its own time, such as a server that starts.
func eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// get reads a page and fails on any status but 200.
func get(url string) (string, error) {
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		return "", err
	}
	if reply.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", url, reply.Status, body)
	}
	return string(body), nil
}

// locked is a buffer that a command may still write to.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
