package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDockerBuild builds as a user of Docker does, from directories, standard
// input and addresses, and looks at what is printed.
func TestDockerBuild(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dockerfile := "FROM busybox\nWORKDIR /work\nCOPY f .\nRUN echo said; cat f\nENTRYPOINT cat f\n"
	dir := h.project("ctx", "Dockerfile", dockerfile, "f", "data\n")
	in := func(stdin string, args ...string) result {
		return h.runAs("docker", patience, dir, strings.NewReader(stdin), args...)
	}
	first := in("", "build", "-t", "app", "-t", "app:two", ".").ok()
	shape := regexp.MustCompile(`(?s)^#1 \[internal\] load build definition from Dockerfile
#1 transferring dockerfile: \d+B done
#1 DONE \d+\.\ds
.*
#\d+ \[4/4\] RUN echo said; cat f
#\d+ \d+\.\d{3} said
#\d+ \d+\.\d{3} data
#\d+ DONE \d+\.\ds

#\d+ exporting to image
#\d+ exporting layers done
#\d+ writing image sha256:[0-9a-f]{64} done
#\d+ naming to \S+/app:latest done
#\d+ naming to \S+/app:two done
#\d+ DONE \d+\.\ds

 1 warning found:
 - JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT .* \(line 5\)
$`)
	if !shape.MatchString(first.stderr) {
		t.Errorf("docker build printed:\n%s", first.stderr)
	}
	if again := in("", "build", "-t", "app", ".").ok().stderr; strings.Count(again, " CACHED\n") != 3 || strings.Contains(again, " said\n") {
		t.Errorf("built again:\n%s", again)
	}
	id := strings.TrimSpace(in("", "build", "-q", ".").ok().stdout)
	if !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(id) {
		t.Errorf("docker build -q printed %q", id)
	}
	h.docker("run", "--rm", "app").says("data")

	failed := in("", "build", "-f", "-", ".") // a Dockerfile from standard input needs one
	failed.fails(1, "the Dockerfile cannot be empty")
	failed = in("FROM busybox\nRUN echo last words; exit 3\n", "build", "-")
	failed.fails(1, `process "/bin/sh -c echo last words; exit 3" did not complete successfully: exit code: 3`,
		" > [2/2] RUN echo last words; exit 3:\nlast words\n------\nDockerfile:2\n--------------------\n   1 |     FROM busybox\n   2 | >>> RUN echo last words; exit 3\n")
	in("FROM busybox\nCOPY f /\n", "build", "-t", "piped", "-f", "-", ".").ok()
	h.docker("run", "--rm", "piped", "cat", "/f").says("data")

	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, text := range map[string]string{"Dockerfile": "FROM busybox\nCOPY g /g\n", "g": "archived\n"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	in(archive.String(), "build", "-t", "tarred", "-").ok()
	h.docker("run", "--rm", "tarred", "cat", "/g").says("archived")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(archive.Bytes()) }))
	defer server.Close()
	in("", "build", "-t", "fetched", server.URL+"/ctx.tar").ok()
	h.docker("run", "--rm", "fetched", "cat", "/g").says("archived")
	in("", "build", "-t", "cloned", h.repository(server)+"#v1:sub").ok()
	h.docker("run", "--rm", "cloned", "cat", "/inner").says("inner")

	in("", "build", "-o", "type=local,dest=out", ".").ok()
	if data, err := os.ReadFile(filepath.Join(dir, "out/work/f")); err != nil || string(data) != "data\n" {
		t.Errorf("the local output has %q, %v", data, err)
	}
	in("", "build", "--iidfile", "iid", "--metadata-file", "meta", ".").ok()
	if data, err := os.ReadFile(filepath.Join(dir, "iid")); err != nil || string(data) != id {
		t.Errorf("the ID in the file is %q, %v, want %s", data, err, id)
	}
	if out := in("", "build", "--check", ".").fails(1).stderr; !strings.Contains(out, "JSONArgsRecommended") || strings.Contains(out, "[2/4]") {
		t.Errorf("docker build --check: %s", out)
	}
	stages := h.project("stages", "Dockerfile", "FROM busybox as unused\nFROM busybox\n")
	if out := h.runAs("docker", patience, stages, nil, "build", "--check", ".").fails(1).stderr; !strings.Contains(out, "FromAsCasing") {
		t.Errorf("docker build --check of a stage that nothing needs: %s", out)
	}
	if out := in("", "build", "--progress", "rawjson", ".").ok().stderr; !strings.HasPrefix(out, `{"vertexes":[{"digest":"sha256:`) {
		t.Errorf("rawjson: %s", out)
	}
	in("", "build", "--call", "targets", ".").says("TARGET    DESCRIPTION\n(default)")
	described := h.project("described", "Dockerfile", "FROM scratch\n# VERSION is which one\nARG VERSION=3\nRUN --mount=type=secret,id=key true\n")
	outline := h.runAs("docker", patience, described, nil, "build", "--call", "outline", ".").ok().stdout
	for _, row := range []string{`(?m)^VERSION +3 +is which one$`, `(?m)^key *$`} {
		if !regexp.MustCompile(row).MatchString(outline) {
			t.Errorf("the outline has no %s:\n%s", row, outline)
		}
	}
	if out := h.runAs("docker", patience, described, nil, "build", "--call", "outline,format=json", ".").ok().stdout; !json.Valid([]byte(out)) {
		t.Errorf("the outline as JSON is %s", out)
	}
	in("", "build", "--call", "nosuch", ".").fails(1, "there are build, check, outline and targets")
	in("", "build", "--progress", "nosuch", ".").fails(1, "invalid progress mode nosuch")
	in("", "build", "--platform", "linux/s390x", ".").fails(1, "linux/s390x")
	in("", "build", "nosuchdir").fails(1, "nosuchdir")
	in("", "build", "--allow", "everything", ".").fails(1, "security.insecure and network.host")

	screen := h.onScreen(dir, 30, 100, "docker", "build", "--no-cache", "-t", "app", ".")
	screen.shows("[4/4] RUN echo said; cat f")
	screen.shows("FINISHED")
	screen.ends(0)
}

// repository makes a Git repository that a server offers, with a Dockerfile
// in its directory sub, and returns its address.
func (h *host) repository(_ *httptest.Server) string {
	h.t.Helper()
	dir := h.t.TempDir()
	script := `set -e
mkdir -p "$1/work/sub" && cd "$1/work"
git init -q -b main . && git config user.email nobody@example.invalid && git config user.name nobody
printf 'FROM busybox\nCOPY inner /inner\n' > sub/Dockerfile; echo inner > sub/inner
git add . && git commit -qm one && git tag v1 && echo later > sub/inner && git commit -qam two
cd .. && git clone -q --bare work repo.git && cd repo.git && git update-server-info`
	cmd := exec.Command("sh", "-c", script, "sh", dir)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("make a repository: %v\n%s", err, out)
	}
	files := httptest.NewServer(http.FileServer(http.Dir(dir)))
	h.t.Cleanup(files.Close)
	return files.URL + "/repo.git"
}

// TestComposeBuildSection gives services every field of build that has
// something to show.
func TestComposeBuildSection(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("shop",
		"compose.yaml", fmt.Sprintf(`services:
  inline:
    build:
      dockerfile_inline: |
        # syntax=docker/dockerfile:1-labs
        FROM busybox AS wanted
        ARG WHO=nobody
        RUN --mount=type=secret,id=key echo "$$WHO $(cat /run/secrets/key) $(awk '/far/{print $$1}' /etc/hosts) $(ulimit -Sn) $(df -k /dev/shm | tail -1 | awk '{print $$2}')" > /seen
        RUN --security=insecure grep -q 'CapEff.*a80425fb' /proc/self/status && exit 1 || true
        RUN --network=none ls /sys/class/net > /net
        CMD cat /seen
        FROM wanted
        RUN exit 1
      target: wanted
      args: {WHO: you}
      secrets: [key]
      extra_hosts: ["far:10.8.8.8"]
      ulimits: {nofile: {soft: 111, hard: 222}}
      shm_size: 2m
      labels: {made.by: test}
      tags: ["shop/other:tag"]
      entitlements: [security.insecure]
      network: default
      platforms: [linux/%s]
  child:
    build:
      context: child
      additional_contexts:
        parent: service:inline
        files: ./files
    depends_on: [inline]
  repo:
    build: %s#main:sub
secrets:
  key: {environment: KEY}
`, hostArch(t), h.repository(nil)),
		"child/Dockerfile", "FROM parent\nCOPY --from=files hello /hello\nCMD cat /seen /hello\n",
		"files/hello", "hello\n", ".env", "KEY=s3cret\n")
	out := h.in(dir, "build").ok()
	if !regexp.MustCompile(`#\d+ \[inline wanted 2/4\] RUN --mount`).MatchString(out.stderr) {
		t.Errorf("the steps do not say which service they are for:\n%s", out.stderr)
	}
	h.docker("run", "--rm", "shop-inline").says("you s3cret 10.8.8.8 111 2048")
	h.docker("run", "--rm", "shop/other:tag").says("you s3cret 10.8.8.8 111 2048")
	h.docker("run", "--rm", "shop-child").says("you s3cret 10.8.8.8 111 2048\nhello")
	h.docker("run", "--rm", "shop-repo", "cat", "/inner").says("later")
	h.docker("image", "ls", "-q", "shop-inline").ok()
	// A service whose files come from another one's image is built after it
	// also when it alone is asked for.
	h.docker("rmi", "-f", "shop-inline", "shop/other:tag", "shop-child").ok()
	h.in(dir, "build", "child").ok()
	h.docker("run", "--rm", "shop-child", "cat", "/hello").says("hello")

	bad := h.project("bad", "compose.yaml", "services:\n  a: {build: {context: ., additional_contexts: {x: 'service:b'}}}\n  b: {build: {context: ., additional_contexts: {x: 'service:a'}}}\n")
	h.in(bad, "build").fails(1, "b", "a")
	other := h.project("other", "compose.yaml", "services:\n  a: {build: {context: ., platforms: [linux/s390x]}}\n", "Dockerfile", "FROM busybox\n")
	h.in(other, "build").fails(1, "linux/s390x")
}

func hostArch(t *testing.T) string {
	t.Helper()
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"x86_64": "amd64", "aarch64": "arm64"}[unix.ByteSliceToString(uts.Machine[:])]
}

// TestSameBuildOnce gives two services the same build: its steps run once,
// also while both are built side by side.
func TestSameBuildOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("twins", "compose.yaml", "services:\n  one: {build: .}\n  two: {build: .}\n",
		"Dockerfile", "FROM busybox\nRUN sleep 0.3; echo ran\n")
	out := h.in(dir, "build").ok().stderr
	if n := len(regexp.MustCompile(`(?m)^#\d+ \d+\.\d+ ran$`).FindAllString(out, -1)); n != 1 {
		t.Errorf("the step ran %d times:\n%s", n, out)
	}
	h.docker("image", "ls", "--format", "{{.Repository}}").ok()
}

// TestInterruptedBuild ends a build with Ctrl+C and with SIGKILL in the midst
// of a step.
func TestInterruptedBuild(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("slow", "Dockerfile", "FROM busybox\nRUN echo begun; sleep 100000\n")
	for _, signal := range []unix.Signal{unix.SIGINT, unix.SIGKILL} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := h.command(ctx, dir, "image", "build", ".")
		out := &lockedBuffer{}
		cmd.Stderr = out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the step", func() error {
			if !strings.Contains(out.String(), " begun\n") {
				return errors.New(out.String())
			}
			return nil
		})
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait() // not after the step, which goes on for longer than the test
		if signal == unix.SIGINT {
			if cmd.ProcessState.ExitCode() != 130 {
				t.Errorf("after Ctrl+C it ended with %v:\n%s", err, out)
			}
			if left := leftovers(h.root); len(left) > 0 {
				t.Errorf("left behind: %s", left)
			}
			continue
		}
		// The next build clears up what the one that was killed has left.
		quick := h.project("quick", "Dockerfile", "FROM busybox\nRUN true\n")
		h.in(quick, "image", "build", ".").ok()
	}
}
