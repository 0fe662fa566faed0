package e2e

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// makeRemote serves a repository with Compose files and returns its address.
func makeRemote(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	files := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(files.Close)
	script := `set -e
mkdir -p "$1/work/sub/data" && cd "$1/work"
git init -q -b main . && git config user.email nobody@example.invalid && git config user.name nobody
cat >sub/compose.yaml <<END
services:
  web:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    env_file: ./web.env
    environment: {WHO: "\${WHO:-nobody}", NEEDED: "\${NEEDED:?}"}
    volumes: ["./data:/data:ro"]
END
echo FROM_FILE=1 >sub/web.env && echo first >sub/data/note
git add . && git commit -qm one && git tag v1
echo 'services: {top: {image: busybox}}' >compose.yaml && echo second >sub/data/note
echo "include: ['$2/repo.git#v1:sub']" >outer.yaml
ln -s /etc/hostname out.yaml
git add . && git commit -qm two
cd .. && git clone -q --bare work repo.git && cd repo.git && git update-server-info`
	cmd := exec.Command("sh", "-c", script, "sh", dir, files.URL)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make a repository: %v\n%s", err, out)
	}
	return files.URL + "/repo.git"
}

// TestRepositoryAsFile runs a project whose Compose file is in a Git
// repository, after the questions that this takes.
func TestRepositoryAsFile(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	url := makeRemote(t)
	dir := h.project("away", "compose.yaml", "include: ['"+url+"#main:sub']\n")
	given := []string{"NEEDED=given"}
	asked := func(answer string, args ...string) result {
		t.Helper()
		return h.runWith(given, dir, answer, args...)
	}

	h.in(dir, "-f", url, "config", "--services").ok().says("top")
	sub := []string{"-f", url + "#main:sub/compose.yaml", "-p", "remote"}
	r := asked("n\n", append(sub, "up", "-d")...).fails(1, "operation cancelled by user")
	for _, want := range []string{
		`Your compose stack "` + sub[1] + `" is stored in "`,
		"\nFound the following variables in configuration:\nVARIABLE   VALUE    SOURCE         REQUIRED   DEFAULT\n" +
			"NEEDED     given    environment    yes        \n" +
			"WHO        nobody   compose file   no         nobody\n",
		"\nDo you want to proceed with these variables? [Y/n]: ",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("what was asked lacks %q:\n%s", want, r.stdout)
		}
	}
	asked("", append(sub, "run", "--rm", "web", "true")...).fails(1, "operation cancelled by user")
	h.in(dir, "-p", "remote", "ps", "-aq").ok().says("")

	asked("y\n", append(sub, "up", "-d")...).ok()
	h.in(dir, "-p", "remote", "exec", "-T", "web", "sh", "-c", "echo $WHO $FROM_FILE $(cat /data/note)").ok().says("nobody 1 second")
	// What is asked takes no more of the input than its line.
	if out := asked("y\nfor cat\n", append(sub, "run", "--rm", "-T", "web", "cat")...).ok().stdout; !strings.HasSuffix(out, "for cat\n") {
		t.Errorf("run printed %q", out)
	}
	sub[1] = url + "#v1:sub"
	if out := asked("", append(sub, "up", "-d", "-y")...).ok().stdout; !strings.Contains(out, "is stored in") || strings.Contains(out, "Found the") {
		t.Errorf("up -y printed %q", out)
	}
	h.in(dir, "-p", "remote", "exec", "-T", "web", "cat", "/data/note").ok().says("first")
	asked("", append(sub, "down")...).ok()

	// From a file of this host it is included without a question.
	asked("", "up", "-d").ok()
	asked("", "exec", "-T", "web", "cat", "/data/note").ok().says("second")
	asked("", "down").ok()

	outer := []string{"-f", url + "#main:outer.yaml", "-p", "outer", "create"}
	r = asked("\n", outer...)
	if r.ok(); strings.Contains(r.stdout, "?") {
		t.Errorf("create asked: %s", r.stdout)
	}
	outer[len(outer)-1] = "up"
	r = asked("\n", outer...).fails(1, "operation cancelled by user")
	if want := "\nWarning: This Compose project includes files from remote sources:\n  - " + outer[1] + "\n  - " + url + "#v1:sub\n"; !strings.Contains(r.stdout, want) ||
		!strings.HasSuffix(r.stdout, "Remote includes could potentially be malicious. Make sure you trust the source.\nDo you want to continue? [y/N]: ") {
		t.Errorf("up asked: %s", r.stdout)
	}
	h.in(dir, "-p", "outer", "down").ok()

	for ref, want := range map[string]string{
		"#nosuch":         "repository does not contain ref nosuch",
		"#main:nosuch":    "no such file",
		"#main:../../etc": "no such file",
		"#main:out.yaml":  "escapes",
		"#main:sub/data":  "there is no Compose file",
	} {
		h.in(dir, "-f", url+ref, "config").fails(1, want)
	}
	given = []string{"COMPOSE_EXPERIMENTAL_GIT_REMOTE=false"}
	asked("", "-f", url, "config").fails(1, `git remote resource is disabled by "COMPOSE_EXPERIMENTAL_GIT_REMOTE"`)
}

// runWith runs a command in a directory with more in its environment.
func (h *host) runWith(env []string, dir, stdin string, args ...string) result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := h.command(ctx, dir, args...)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // the exit status is what counts
	return result{t: h.t, line: "compose " + strings.Join(args, " "), stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
}
