package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// forks decides which of the processes that commands, keepers and supervisors
// want to start they get.
type forks struct {
	t testing.TB
	h *host

	mu     sync.Mutex
	left   int // how many they get yet; -1: as many as they want
	fail   syscall.Errno
	denied int

	stop    chan struct{}
	serving sync.WaitGroup
}

// in runs a command whose forks, and those of the keeper and the supervisor
// that it starts, are asked for.
func (f *forks) in(dir string, args ...string) result {
	f.t.Helper()
	cmd := f.h.command(f.t.Context(), dir, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	l := overhear(f.t, cmd, unix.SYS_CLONE, unix.SYS_CLONE3)
	f.serving.Go(func() {
		defer l.close()
		for {
			select {
			case <-f.stop:
				return
			default:
			}
			if ask, ok := l.next(); ok {
				l.answer(ask, f.decide(ask))
			}
		}
	})
	err := cmd.Wait()
	r := result{t: f.t, line: "compose " + strings.Join(args, " "), stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
	if err != nil && r.code < 0 {
		f.t.Fatalf("%s: %v\n%s", r.line, err, r.stderr)
	}
	return r
}

func (f *forks) decide(ask *notification) syscall.Errno {
	argv, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", ask.pid))
	f.mu.Lock()
	defer f.mu.Unlock()
	name := string(bytes.TrimRight(bytes.SplitN(argv, []byte{0}, 2)[0], " "))
	if f.left < 0 || name != binary && name != "compose-keeper" && name != "compose-supervisor" {
		return 0 // what runs in a container has its own limits
	}
	if f.left > 0 {
		f.left--
		return 0
	}
	f.denied++
	return f.fail
}

// allow lets them have so many more.
func (f *forks) allow(n int, then syscall.Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.fail, f.denied = n, then, 0
}

// allowAll lets them have all, and says how many they did not get before.
func (f *forks) allowAll() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = -1
	return f.denied
}

func (f *forks) deniedSome() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.denied == 0 {
		return errors.New("no process was wanted")
	}
	return nil
}

// TestNoFork has the kernel give no more processes at each step of an up, and
// to commands and supervisors of a running stack. They say so in a line, take
// back what is half made, and do what was asked once there are some again; what
// runs runs on.
func TestNoFork(t *testing.T) {
	t.Parallel()
	f := &forks{t: t, left: -1, stop: make(chan struct{})}
	t.Cleanup(func() { close(f.stop); f.serving.Wait() }) // after that of the host
	h := newHost(t)
	f.h = h
	h.busybox("busybox")
	dir := h.project("forks", "compose.yml", `services:
  anchor: {image: busybox, command: "sh -c 'while :; do sleep 0.1; done'", init: true}
  again: {image: busybox, command: sleep 100000, restart: always}
  more: {image: busybox, command: sleep 100000, init: true, volumes: ['data:/data', /anonymous], ports: ['8080']}
  built: {image: built, build: {dockerfile_inline: "FROM busybox\nRUN echo"}, profiles: [built]}
  other: {image: busybox, runtime: /usr/sbin/runc, command: sleep 100000, profiles: [other]}
volumes: {data: }
`)
	h.in(dir, "up", "-d").ok()
	h.in(dir, "down", "-v", "-t", "0").ok()
	base := paths(h.root)
	errno := func(n int) syscall.Errno { return []syscall.Errno{syscall.ENOMEM, syscall.EAGAIN}[n%2] }
	saysSo := func(r result, n, code int) {
		t.Helper()
		r.fails(code, errno(n).Error())
		if said := strings.TrimSpace(r.stderr); strings.Contains(said[strings.LastIndex(said, "\n")+1:], errno(n).Error()) {
			return
		}
		t.Errorf("%s does not end with the line that says so: %s", r.line, r.stderr)
	}
	failed := 0
	for n := 0; ; n++ {
		f.allow(n, errno(n))
		r := f.in(dir, "up", "-d")
		denied := f.allowAll()
		if denied == 0 {
			r.ok()
			break
		}
		failed++
		saysSo(r, n, 1)
		h.in(dir, "down", "-v", "-t", "0").ok()
		eventually(t, "nothing is left", func() error {
			if left := beyond(paths(h.root), base); len(left) > 0 {
				return fmt.Errorf("after %d forks there is left: %v", n, left)
			}
			return nil
		})
	}
	if failed < 5 {
		t.Errorf("up failed %d times: it is not asked for its forks", failed)
	}
	anchor := h.state("forks-anchor-1").Pid
	for n, args := range [][]string{{"exec", "-T", "anchor", "true"}, {"run", "--rm", "anchor", "true"}, {"up", "-d", "--force-recreate", "more"}, {"restart", "-t", "0", "more"}, {"build", "built"}} {
		f.allow(0, errno(n))
		r := f.in(dir, args...)
		f.allowAll()
		saysSo(r, n, map[bool]int{false: 1, true: 125}[args[0] == "run"])
		f.in(dir, args...).ok()
	}

	// Another runtime is a process too, at each of its steps.
	for n := 0; ; n++ {
		f.allow(n, errno(n))
		r := f.in(dir, "up", "-d", "other")
		if f.allowAll() == 0 {
			r.ok()
			break
		}
		saysSo(r, n, 1)
	}

	// The restart policy, and the keeper, go on trying.
	for _, name := range []string{"compose-supervisor", "compose-keeper"} {
		again := h.state("forks-again-1")
		victims := []int{again.Pid, ourProcess(t, name, h.root, 0)}
		for _, pid := range victims {
			f.allow(0, syscall.EAGAIN)
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, "another is wanted", f.deniedSome)
		}
		f.allowAll()
		eventually(t, "the container runs again", func() error {
			if s := h.state("forks-again-1"); s.Status != "running" || s.Pid == again.Pid || s.RestartCount <= again.RestartCount {
				return fmt.Errorf("%+v after %+v", s, again)
			}
			return nil
		})
	}
	if s := h.state("forks-anchor-1"); s.Status != "running" || s.Pid != anchor {
		t.Errorf("the container that was to run on is another: %+v", s)
	}
	h.in(dir, "down", "-v", "-t", "0").ok()
	if logs, _ := os.ReadFile(filepath.Join(h.root, "projects/forks/supervisor.log")); bytes.Contains(logs, []byte("goroutine ")) {
		t.Errorf("a crash: %s", logs)
	}
}
