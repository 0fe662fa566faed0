package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestServiceVerbs tries the verbs that work on the containers of services.
func TestServiceVerbs(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("shop", "compose.yml", `
services:
  web:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    depends_on: [db]
    volumes: [data:/data]
  db:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    volumes: [other:/other]
  job:
    image: busybox
    command: sh -c "sleep $PAUSE; exit 7"
    profiles: [job]
volumes: {data: {}, other: {}}
`, "note.txt", "from the host\n", ".env", "PAUSE=1\n")

	// scale
	h.in(dir, "scale", "web=3").ok()
	if ps := h.in(dir, "ps", "--format", "{{.Name}}").ok().stdout; strings.Count(ps, "shop-web-") != 3 || !strings.Contains(ps, "shop-db-1") {
		t.Errorf("after scale: %s", ps)
	}
	h.in(dir, "scale", "web=1", "db=2").ok()
	if ps := h.in(dir, "ps", "--format", "{{.Name}}").ok().stdout; strings.Count(ps, "shop-web-") != 1 || strings.Count(ps, "shop-db-") != 2 {
		t.Errorf("after scale: %s", ps)
	}
	h.in(dir, "scale", "web").fails(1, "invalid scale specifier: web")
	h.in(dir, "scale", "nothing=1").fails(1, "no such service: nothing")

	// cp
	h.in(dir, "cp", "note.txt", "db:/tmp/").ok()
	for _, index := range []string{"1", "2"} { // into each of them
		h.in(dir, "exec", "-T", "--index", index, "db", "cat", "/tmp/note.txt").ok().says("from the host")
	}
	h.in(dir, "cp", "--index", "2", "db:/tmp/note.txt", "back.txt").ok()
	if data, err := os.ReadFile(filepath.Join(dir, "back.txt")); err != nil || string(data) != "from the host\n" {
		t.Errorf("copied back: %q, %v", data, err)
	}
	h.in(dir, "cp", "web:/x", "db:/y").fails(1, "copying between services is not supported")
	h.in(dir, "cp", "nothing:/x", ".").fails(1, `no container found for service "nothing"`)

	// export and commit
	h.in(dir, "export", "-o", "db.tar", "db").ok()
	if out := h.in(dir, "export", "db").ok().stdout; !strings.Contains(out, "tmp/note.txt") {
		t.Error("the exported archive lacks a file")
	}
	id := strings.TrimSpace(h.in(dir, "commit", "-m", "kept", "db", "shop/db:kept").ok().stdout)
	if !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(id) {
		t.Errorf("commit printed %q", id)
	}
	h.docker("run", "--rm", "shop/db:kept", "cat", "/tmp/note.txt").ok().says("from the host")

	// volumes and stats
	h.in(dir, "volumes").ok().says("DRIVER    VOLUME NAME\nlocal     shop_data\nlocal     shop_other")
	h.in(dir, "volumes", "-q", "web").ok().says("shop_data")
	if out := h.in(dir, "stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "web").ok().stdout; out != "shop-web-1 1\n" {
		t.Errorf("stats printed %q", out)
	}

	// wait
	// The job may have ended before wait is there, which is an error: once more,
	// and it lasts twice as long.
	waits := func(args ...string) (r result) {
		pause := 1
		eventually(t, "wait", func() error {
			writeFile(t, filepath.Join(dir, ".env"), fmt.Sprintf("PAUSE=%d\n", pause), 0o644)
			pause *= 2
			h.in(dir, "up", "-d", "job").ok()
			if r = h.in(dir, append([]string{"wait"}, args...)...); r.code == 1 && strings.Contains(r.stderr, "no containers for project") {
				return errors.New(r.stderr)
			}
			return nil
		})
		return r
	}
	waited := waits("job")
	if waited.code != 7 || !regexp.MustCompile(`^container "[0-9a-f]{64}" exited with status code 7\n$`).MatchString(waited.stdout) {
		t.Errorf("wait: %d %q", waited.code, waited.stdout)
	}
	h.in(dir, "wait", "job").fails(1, `no containers for project "shop"`)
	if out := waits("--down-project", "job"); out.code != 7 {
		t.Errorf("wait --down-project: %d %s%s", out.code, out.stdout, out.stderr)
	}
	h.in(dir, "ps", "-a", "-q").ok().says("")
	h.in(dir, "--profile", "job", "down", "-v").ok()
}
