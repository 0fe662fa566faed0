package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestRestartPolicies lets programs end and looks which ones are started again.
func TestRestartPolicies(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("p", "compose.yaml", `services:
  never: {image: busybox, command: sh -c 'echo never; exit 1', restart: "no"}
  twice: {image: busybox, command: sh -c 'echo twice; exit 1', restart: "on-failure:2"}
  fine: {image: busybox, command: sh -c 'echo fine; exit 0', restart: on-failure}
  always: {image: busybox, command: sh -c 'echo always; sleep 0.1', restart: always, stop_grace_period: 0s}
`)
	h.in(dir, "up", "-d").ok()
	count := func(service string) int {
		return strings.Count(h.in(dir, "logs", "--no-color", "--no-log-prefix", service).ok().stdout, service)
	}
	eventually(t, "three runs of always", func() error {
		if n := count("always"); n < 3 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	eventually(t, "the end of the others", func() error {
		out := h.in(dir, "ps", "-a", "--status", "exited", "--format", "{{.Service}} {{.ExitCode}}").ok().stdout
		if out != "fine 0\nnever 1\ntwice 1\n" {
			return errors.New(out)
		}
		return nil
	})
	for service, want := range map[string]int{"never": 1, "twice": 3, "fine": 1} {
		if n := count(service); n != want {
			t.Errorf("%s ran %d times, want %d", service, n, want)
		}
	}
	h.in(dir, "stop", "always").ok()
	ran := count("always")
	time.Sleep(500 * time.Millisecond)
	if n := count("always"); n != ran {
		t.Errorf("a service that was stopped by hand ran again: %d, then %d times", ran, n)
	}
	h.in(dir, "down").ok()
}

// TestDependsOnConditions starts a service only when another is healthy and a
// third has done its work.
func TestDependsOnConditions(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("p", "compose.yaml", `services:
  db:
    image: busybox
    command: sh -c 'sleep 0.6; touch /ready; sleep 1000'
    stop_grace_period: 0s
    healthcheck: {test: [CMD, test, -f, /ready], interval: 100ms, timeout: 2s, retries: 100}
  job: {image: busybox, command: sh -c 'sleep 0.3; exit 0'}
  app:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    depends_on:
      db: {condition: service_healthy}
      job: {condition: service_completed_successfully}
`)
	begin := time.Now()
	h.in(dir, "up", "-d").ok()
	if took := time.Since(begin); took < 600*time.Millisecond {
		t.Errorf("app was started after %s, before db was healthy", took)
	}
	if ps := h.in(dir, "ps").ok().stdout; !strings.Contains(ps, "(healthy)") {
		t.Errorf("ps does not show that db is healthy:\n%s", ps)
	}
	h.in(dir, "down").ok()

	bad := h.project("bad", "compose.yaml", `services:
  db: {image: busybox, command: sleep 1000, stop_grace_period: 0s, healthcheck: {test: "exit 1", interval: 50ms, timeout: 2s, retries: 2}}
  app: {image: busybox, command: sleep 1000, depends_on: {db: {condition: service_healthy}}}
`)
	h.in(bad, "up", "-d").fails(1, "dependency failed to start: container bad-db-1 is unhealthy")
	h.in(bad, "down").ok()
}

// TestKilledSupervisorAndKeeper kills each of our processes while a container
// writes numbered lines: none is lost, none comes twice, the container goes on.
func TestKilledSupervisorAndKeeper(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("p", "compose.yaml", `services:
  count:
    image: busybox
    command: sh -c 'i=0; while true; do i=$$((i+1)); echo $$i; sleep 0.02; done'
    stop_grace_period: 0s
  job: {image: busybox, command: sh -c 'sleep 1.5; exit 3'}
`)
	h.in(dir, "up", "-d").ok()
	pid := h.in(dir, "ps", "-q", "count").ok().stdout
	for _, name := range []string{"compose-supervisor", "compose-keeper"} {
		supervisor := ourProcess(t, "compose-supervisor", h.root, 0)
		if err := syscall.Kill(ourProcess(t, name, h.root, 0), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		// The next one has to be at work before the other of the two may go.
		ourProcess(t, "compose-supervisor", h.root, supervisor)
		h.in(dir, "kill", "-s", "CONT", "count").ok() // which asks it
	}
	lines := func() []string {
		return strings.Fields(h.in(dir, "logs", "--no-color", "--no-log-prefix", "count").ok().stdout)
	}
	before := len(lines())
	eventually(t, "more lines", func() error {
		if n := len(lines()); n < before+20 {
			return fmt.Errorf("%d lines, were %d", n, before)
		}
		return nil
	})
	for i, l := range lines() {
		if l != strconv.Itoa(i+1) {
			t.Fatalf("line %d is %q", i+1, l)
		}
	}
	eventually(t, "the exit status of job", func() error {
		if ps := h.in(dir, "ps", "-a", "job").ok().stdout; !strings.Contains(ps, "Exited (3)") {
			return fmt.Errorf("%s", ps)
		}
		return nil
	})
	if now := h.in(dir, "ps", "-q", "count").ok().stdout; now != pid {
		t.Errorf("the container is another one: %q, was %q", now, pid)
	}
	h.in(dir, "down").ok()
}

// ourProcess finds the process of that name, other than one that was known.
func ourProcess(t testing.TB, name, root string, other int) int {
	t.Helper()
	found := 0
	ours, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a process "+name, func() error {
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		for _, dir := range dirs {
			argv, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
			// A container's first process is called the same until it runs its program.
			ns, _ := os.Readlink(filepath.Join(dir, "ns", "pid"))
			if ns == ours && bytes.HasPrefix(argv, []byte(name+"\x00"+root+"\x00")) {
				if found, _ = strconv.Atoi(filepath.Base(dir)); found != other {
					return nil
				}
			}
		}
		return fmt.Errorf("none has the root %s", root)
	})
	return found
}

// TestForegroundUp shows prefixed logs and stops everything on Ctrl+C.
func TestForegroundUp(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("fg", "compose.yaml", `services:
  one: {image: busybox, command: sh -c 'echo hello from one; exec sleep 1000', init: true}
  another: {image: busybox, command: sh -c 'echo hello from another; exec sleep 1000', init: true}
`)
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	cmd := h.command(ctx, dir, "up")
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both greetings", func() error {
		text := out.String()
		for _, want := range []string{`(?m)^one-1 +\| hello from one$`, `(?m)^another-1 +\| hello from another$`} {
			if !regexp.MustCompile(want).MatchString(text) {
				return fmt.Errorf("no line %s in:\n%s", want, text)
			}
		}
		return nil
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 && code != 0 {
		t.Errorf("exit status %d after Ctrl+C\n%s", code, out.String())
	}
	if running := h.in(dir, "ps", "-q").ok().stdout; running != "" {
		t.Errorf("still running after Ctrl+C: %s", running)
	}
	h.in(dir, "down").ok()
}

// lockedBuffer is written by a command and read by a test at the same time.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestOnlyWhatChangedIsMadeAnew edits one of two services.
func TestOnlyWhatChangedIsMadeAnew(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	file := "services:\n  a: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n  b: {image: busybox, command: sleep %d, stop_grace_period: 0s}\n"
	dir := h.project("p", "compose.yaml", fmt.Sprintf(file, 1000))
	h.in(dir, "up", "-d").ok()
	id := func(service string) string { return h.in(dir, "ps", "-q", service).ok().stdout }
	a, b := id("a"), id("b")
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), fmt.Appendf(nil, file, 2000), 0o644); err != nil {
		t.Fatal(err)
	}
	h.in(dir, "up", "-d").ok()
	if id("a") != a {
		t.Error("a was made anew, though nothing of it has changed")
	}
	if id("b") == b {
		t.Error("b was not made anew")
	}
	h.in(dir, "down").ok()
}
