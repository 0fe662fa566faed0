package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// pair is a project of two services, one of them with two containers.
const pair = `services:
  db:
    image: busybox
    command: sh -c 'echo first; echo second >&2; sleep 1000'
    stop_grace_period: 0s
  web:
    image: busybox
    command: sleep 1000
    scale: 2
    stop_grace_period: 0s
    environment: {GREETING: hello}
    ports: ["127.0.0.1::80"]
    depends_on: [db]
`

// pairUp brings the two services up.
func pairUp(t *testing.T, args ...string) (*host, string) {
	t.Helper()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("pair", "compose.yaml", pair)
	h.in(dir, append([]string{"up", "-d"}, args...)...).ok()
	return h, dir
}

// says fails the scenario unless the standard output is this, without the
// white space around it.
func (r result) says(want string) {
	r.t.Helper()
	if got := strings.TrimSpace(r.ok().stdout); got != strings.TrimSpace(want) {
		r.t.Errorf("%s: says\n%s\nwant\n%s", r.line, got, want)
	}
}

func TestPs(t *testing.T) {
	t.Parallel()
	h, dir := pairUp(t)
	h.in(dir, "stop", "db").ok()

	table := strings.Split(strings.TrimSpace(h.in(dir, "ps").ok().stdout), "\n")
	if len(table) != 3 || strings.Join(strings.Fields(table[0]), " ") != "NAME IMAGE COMMAND SERVICE CREATED STATUS PORTS" {
		t.Errorf("ps:\n%s", strings.Join(table, "\n"))
	}
	row := regexp.MustCompile(`^pair-web-1 +busybox +"sleep 1000" +web +.+ ago +Up .+ +127\.0\.0\.1:\d+->80/tcp$`)
	if !row.MatchString(table[1]) {
		t.Errorf("row %q", table[1])
	}
	h.in(dir, "ps", "--services").says("web")
	h.in(dir, "ps", "-a", "--services").says("db\nweb")
	h.in(dir, "ps", "--status", "exited", "--format", "{{.Name}} {{.State}} {{.ExitCode}}").says("pair-db-1 exited 137")
	h.in(dir, "ps", "--filter", "status=running", "--format", "{{.Name}}").says("pair-web-1\npair-web-2")
	h.in(dir, "ps", "nope").fails(1, "no such service: nope")
	h.in(dir, "ps", "--filter", "x").fails(1, "arguments to --filter should be in form KEY=VAL")
	if ids := strings.Fields(h.in(dir, "ps", "-q").ok().stdout); len(ids) != 2 || len(ids[0]) != 64 {
		t.Errorf("ps -q: %q", ids)
	}
	for line := range strings.Lines(h.in(dir, "ps", "--format", "json").ok().stdout) {
		var row struct {
			Name, Service, State, Project string
			Publishers                    []struct {
				URL, Protocol             string
				TargetPort, PublishedPort int
			}
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if row.Service != "web" || row.State != "running" || row.Project != "pair" || len(row.Publishers) != 1 || row.Publishers[0].TargetPort != 80 || row.Publishers[0].PublishedPort == 0 {
			t.Errorf("row %+v", row)
		}
	}
	// From elsewhere, by the project's name alone.
	h.compose("-p", "pair", "ps", "--services").says("web")
	h.compose("-p", "pair", "stop").ok()
	h.compose("-p", "pair", "ps", "-q").says("")
	h.compose("-p", "pair", "down").ok()
}

func TestLogs(t *testing.T) {
	t.Parallel()
	h, dir := pairUp(t)
	eventually(t, "the output", func() error {
		out := h.in(dir, "logs", "db").ok().stdout
		lines := strings.Split(strings.TrimSpace(out), "\n")
		slices.Sort(lines)
		if strings.Join(lines, "\n") != "db-1  | first\ndb-1  | second" {
			return fmt.Errorf("got %q", out)
		}
		return nil
	})
	h.in(dir, "logs", "--no-log-prefix", "--tail", "1", "db").ok()
	if out := h.in(dir, "logs", "-t", "db").ok().stdout; !regexp.MustCompile(`(?m)^db-1  \| \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z first$`).MatchString(out) {
		t.Errorf("logs -t: %q", out)
	}
	h.in(dir, "logs", "--since", "1h", "--until", "30m", "db").says("")
	h.in(dir, "logs", "--tail", "many").fails(1, "--tail")
	h.in(dir, "logs", "nope").fails(1, "no such service: nope")

	// Followed until the container has ended; the last line is there.
	follower := h.begins(dir, "logs", "-f", "--no-color", "db")
	follower.says("db-1  | first\n")
	follower.says("db-1  | second\n")
	h.in(dir, "exec", "-T", "db", "sh", "-c", "echo from exec > /proc/1/fd/1").ok()
	h.in(dir, "kill", "db").ok()
	follower.ends(0)
	if out := follower.stdout.String(); !strings.HasSuffix(out, "db-1  | from exec\ndb-1 exited with code 137\n") {
		t.Errorf("logs -f: %q", out)
	}
	h.in(dir, "down").ok()
}

func TestExec(t *testing.T) {
	t.Parallel()
	h, dir := pairUp(t)
	h.in(dir, "exec", "-T", "web", "sh", "-c", "echo $GREETING; exit 7").fails(7)
	h.in(dir, "exec", "-T", "-e", "GREETING=bye", "-w", "/etc", "-u", "guest", "web", "sh", "-c", "echo $GREETING; pwd; id -un; id -gn").says("bye\n/etc\nguest\nguest")
	h.in(dir, "exec", "-T", "--index", "2", "web", "hostname").ok()
	h.in(dir, "exec", "-T", "web", "nope").fails(127, `exec: "nope": executable file not found in $PATH`)
	h.in(dir, "exec", "-T", "web", "/etc/passwd").fails(126, "permission denied")
	h.in(dir, "exec", "-T", "--index", "3", "web", "true").fails(1, `service "web" is not running container #3`)
	h.in(dir, "exec", "-T", "nope", "true").fails(1, `service "nope" is not running`)
	h.in(dir, "exec", "web").fails(1)
	in := h.run(patience, dir, strings.NewReader("one\ntwo\n"), "exec", "-T", "db", "wc", "-l")
	in.says("2")
	h.in(dir, "exec", "-T", "-d", "db", "sh", "-c", "echo detached > /tmp/x").ok()
	eventually(t, "what the detached command writes", func() error {
		if r := h.in(dir, "exec", "-T", "db", "cat", "/tmp/x"); r.stdout != "detached\n" {
			return fmt.Errorf("got %q", r.stdout)
		}
		return nil
	})
	h.in(dir, "stop", "db").ok()
	h.in(dir, "exec", "-T", "db", "true").fails(1, `service "db" is not running`)
	h.in(dir, "down").ok()
}

func TestRun(t *testing.T) {
	t.Parallel()
	h, dir := pairUp(t)
	h.in(dir, "run", "--rm", "-T", "web", "sh", "-c", "echo $GREETING; exit 3").fails(3)
	h.in(dir, "run", "--rm", "-T", "-e", "GREETING=bye", "-w", "/etc", "-u", "guest", "-l", "a=b", "web", "sh", "-c", "echo $GREETING; pwd; id -un").says("bye\n/etc\nguest")
	h.in(dir, "run", "--rm", "-T", "--entrypoint", "echo -n", "web", "from", "entrypoint").says("from entrypoint")
	h.run(patience, dir, strings.NewReader("a b\n"), "run", "--rm", "-T", "web", "wc", "-w").says("2")
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mounted"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.in(dir, "run", "--rm", "-T", "-v", file+":/mnt/file:ro", "web", "cat", "/mnt/file").says("mounted")
	h.in(dir, "run", "--rm", "-T", "--service-ports", "-p", "1:1", "web").fails(1, "--service-ports and --publish are incompatible")
	h.in(dir, "run", "--rm", "-T", "nope").fails(1, "no such service: nope")
	// A one-off container leaves with --rm, stays without, and is no other's replica.
	h.in(dir, "ps", "-a", "-q").ok()
	h.in(dir, "run", "-T", "--name", "once", "web", "true").ok()
	h.in(dir, "ps", "-a", "--format", "{{.Name}}").says("once\npair-db-1\npair-web-1\npair-web-2")
	id := strings.TrimSpace(h.in(dir, "run", "-d", "web", "sleep", "1000").ok().stdout)
	if len(id) != 64 {
		t.Errorf("run -d prints %q", id)
	}
	h.in(dir, "down", "--remove-orphans").ok()
	// Dependencies come up first, unless they are left out.
	h.in(dir, "run", "--rm", "-T", "--no-deps", "web", "true").ok()
	h.in(dir, "ps", "-q").says("")
	h.in(dir, "run", "--rm", "-T", "web", "true").ok()
	h.in(dir, "ps", "--services").says("db")
	h.in(dir, "down").ok()
}

func TestStopStartAndTheLike(t *testing.T) {
	t.Parallel()
	h, dir := pairUp(t)
	states := func(want string) {
		t.Helper()
		h.in(dir, "ps", "-a", "--format", "{{.Name}} {{.State}}").says(want)
	}
	ids := h.in(dir, "ps", "-a", "-q").ok().stdout
	r := h.in(dir, "stop").ok()
	if !strings.Contains(r.stderr, " Container pair-web-1  Stopping\n") || strings.Index(r.stderr, "pair-db-1  Stopping") < strings.Index(r.stderr, "pair-web-1  Stopped") {
		t.Errorf("stop says\n%s", r.stderr)
	}
	states("pair-db-1 exited\npair-web-1 exited\npair-web-2 exited")
	h.in(dir, "start").ok()
	states("pair-db-1 running\npair-web-1 running\npair-web-2 running")
	h.in(dir, "pause", "web").ok()
	states("pair-db-1 running\npair-web-1 paused\npair-web-2 paused")
	h.in(dir, "exec", "-T", "web", "true").fails(1, "paused")
	h.in(dir, "unpause").ok()
	states("pair-db-1 running\npair-web-1 running\npair-web-2 running")
	started := h.in(dir, "exec", "-T", "db", "stat", "-c", "%Y", "/proc/1").ok().stdout
	time.Sleep(1100 * time.Millisecond)
	h.in(dir, "restart", "-t", "0", "db").ok()
	if again := h.in(dir, "exec", "-T", "db", "stat", "-c", "%Y", "/proc/1").ok().stdout; again == started {
		t.Error("restart did nothing")
	}
	h.in(dir, "kill", "-s", "SIGKILL", "web").ok()
	states("pair-db-1 running\npair-web-1 exited\npair-web-2 exited")
	h.in(dir, "kill", "-s", "NOPE", "db").fails(1, "NOPE")
	if h.in(dir, "ps", "-a", "-q").ok().stdout != ids {
		t.Error("the containers are not the same")
	}
	h.in(dir, "rm", "-f").ok()
	states("pair-db-1 running")
	h.in(dir, "rm", "-f").ok()
	h.in(dir, "rm", "-f", "-s", "-v").ok()
	states("")
	h.in(dir, "start").fails(1, `service "db" has no container to start`)
	h.in(dir, "kill").ok()
	h.in(dir, "down").ok()
	if r := h.in(dir, "down").ok(); !strings.Contains(r.stderr, "No resource found to remove") {
		t.Errorf("a second down says %q", r.stderr)
	}
}

func TestUpFlags(t *testing.T) {
	t.Parallel()
	h, dir := pairUp(t, "--scale", "web=3")
	names := func(want string) {
		t.Helper()
		h.in(dir, "ps", "-a", "--format", "{{.Name}}").says(want)
	}
	names("pair-db-1\npair-web-1\npair-web-2\npair-web-3")
	h.in(dir, "up", "-d").ok()
	names("pair-db-1\npair-web-1\npair-web-2")
	ids := h.in(dir, "ps", "-q").ok().stdout
	plan := h.in(dir, "--dry-run", "up", "-d", "--force-recreate", "--no-deps", "db").ok().stdout
	if !strings.Contains(plan, "1. recreate db: recreation was asked for (container pair-db-1)") {
		t.Errorf("the plan is\n%s", plan)
	}
	if h.in(dir, "ps", "-q").ok().stdout != ids {
		t.Error("--dry-run did something")
	}
	h.in(dir, "up", "-d", "--force-recreate", "--no-deps", "db").ok()
	if now := strings.Fields(h.in(dir, "ps", "-q").ok().stdout); now[0] == strings.Fields(ids)[0] || now[1] != strings.Fields(ids)[1] {
		t.Errorf("before %q, now %q", ids, now)
	}
	// A service that is no more.
	one := "services:\n  db:\n    image: busybox\n    command: sleep 1000\n    stop_grace_period: 0s\n"
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(one), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := h.in(dir, "up", "-d").ok(); !strings.Contains(r.stderr, "Found orphan containers ([pair-web-1 pair-web-2]) for this project") {
		t.Errorf("up says %s", r.stderr)
	}
	h.in(dir, "up", "-d", "--remove-orphans").ok()
	names("pair-db-1")
	h.in(dir, "up", "-d", "--no-build", "--build").fails(1, "--build and --no-build are incompatible")
	h.in(dir, "up", "-d", "--scale", "db").fails(1, "Should be SERVICE=NUM")
	h.in(dir, "up", "-d", "nope").fails(1, "no such service: nope")
	h.in(dir, "down").ok()
	h.in(dir, "create").ok()
	h.in(dir, "ps", "-a", "--format", "{{.Name}} {{.Status}}").says("pair-db-1 Created")
	h.in(dir, "up", "-d", "--wait").ok()
	h.in(dir, "ps", "--services").says("db")
	h.in(dir, "down").ok()
	h.in(dir, "up", "--no-start").ok()
	h.in(dir, "ps", "-a", "--format", "{{.State}}").says("created")
	h.in(dir, "down").ok()
}

// TestWaitTimeout: a service that does not become healthy in time.
func TestWaitTimeout(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("slow", "compose.yaml", `services:
  a:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    healthcheck: {test: ["CMD", "false"], interval: 100ms, start_period: 1h}
`)
	h.in(dir, "up", "-d", "--wait", "--wait-timeout", "1").fails(1, "application not healthy after 1s")
	h.in(dir, "down").ok()
}

func TestExitCodeFrom(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("jobs", "compose.yaml", `services:
  job:
    image: busybox
    command: sh -c 'echo working; exit 5'
    depends_on: [server]
  server:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
`)
	r := h.in(dir, "up", "--exit-code-from", "job").fails(5)
	for _, want := range []string{"job-1     | working\n", "job-1 exited with code 5\n", "server-1 exited with code 137\n"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q in\n%s", want, r.stdout)
		}
	}
	h.in(dir, "up", "--abort-on-container-exit").fails(5)
	h.in(dir, "up", "--abort-on-container-failure").fails(5)
	h.in(dir, "up", "--exit-code-from", "nope").fails(1, "no such service: nope")
	h.in(dir, "ps", "-q").says("")
	h.in(dir, "down").ok()
}

func TestDownFlags(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("data", "compose.yaml", `services:
  a:
    image: busybox
    command: sh -c 'test -e /data/x || date > /data/x; sleep 1000'
    stop_grace_period: 0s
    volumes: ["data:/data", /anonymous]
volumes:
  data:
`)
	volumes := func() []string { return entries(filepath.Join(h.root, "volumes")) }
	h.in(dir, "up", "-d").ok()
	if n := len(volumes()); n != 2 {
		t.Errorf("%d volumes", n)
	}
	var first string
	eventually(t, "the file", func() error {
		r := h.in(dir, "exec", "-T", "a", "cat", "/data/x")
		if first = r.stdout; first == "" {
			return fmt.Errorf("not there: %s", r.stderr)
		}
		return nil
	})
	h.in(dir, "down").ok()
	h.in(dir, "up", "-d").ok()
	h.in(dir, "exec", "-T", "a", "cat", "/data/x").says(strings.TrimSpace(first))
	// The anonymous volume goes along with a recreation; with -V it does not.
	h.in(dir, "exec", "-T", "a", "touch", "/anonymous/mine").ok()
	h.in(dir, "up", "-d", "--force-recreate").ok()
	h.in(dir, "exec", "-T", "a", "test", "-e", "/anonymous/mine").ok()
	h.in(dir, "up", "-d", "-V").ok()
	h.in(dir, "exec", "-T", "a", "test", "-e", "/anonymous/mine").fails(1)
	h.in(dir, "down", "--rmi", "some").fails(1, "invalid value for --rmi")
	h.in(dir, "down", "-v", "--rmi", "all").ok()
	for _, v := range volumes() {
		if strings.Contains(v, "data_data") {
			t.Errorf("volume %s is left", v)
		}
	}
	h.compose("image", "ls", "-q").says("")
}
