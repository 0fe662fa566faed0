package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestClockJump has the machine's clock set by a day below a running project. No
// process can be given a clock of its own, so what is on record is moved the
// other way while the supervisor is away: the next one sees the same.
func TestClockJump(t *testing.T) {
	t.Parallel()
	for name, days := range map[string]int{"back": 1, "ahead": -1} { // of the records
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.busybox("busybox")
			dir := h.project("clock", "compose.yml", `services:
  once: {image: busybox, command: sleep 100000}
  always: {image: busybox, command: sleep 100000, restart: always}
  talks: {image: busybox, command: "sh -c 'i=0; while :; do i=$$((i+1)); echo line $$i; usleep 50000; done'", init: true}
  healthy:
    image: busybox
    command: sleep 100000
    init: true
    healthcheck: {test: ["CMD", "true"], interval: 200ms, start_period: 0s}
  starting:
    image: busybox
    command: sleep 100000
    init: true
    healthcheck: {test: ["CMD", "false"], interval: 200ms, start_period: 1h, start_interval: 200ms, retries: 1}
`)
			h.in(dir, "up", "-d").ok()
			eventually(t, "the first check", func() error { return h.health("clock-healthy-1", "healthy", time.Time{}) })
			eventually(t, "a line", func() error {
				if !strings.Contains(h.in(dir, "logs", "talks").stdout, "line 1") {
					return errors.New("there is none")
				}
				return nil
			})
			h.setClock(days)

			id := func(service string) string { return "clock-" + service + "-1" }
			// An end is told from another's by when the process began.
			for _, service := range []string{"once", "always"} {
				if err := syscall.Kill(h.state(id(service)).Pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the end of once", func() error {
				if s := h.state(id("once")); s.Status != "exited" || s.ExitCode != 137 {
					return fmt.Errorf("%+v", s)
				}
				return nil
			})
			eventually(t, "the restart of always", func() error {
				if s := h.state(id("always")); s.Status != "running" || s.RestartCount != 1 {
					return fmt.Errorf("%+v", s)
				}
				return nil
			})
			// Checks go on, and one that may still fail is not held against it.
			now := time.Now()
			eventually(t, "more checks", func() error { return h.health(id("healthy"), "healthy", now) })
			eventually(t, "more failed checks", func() error { return h.health(id("starting"), "starting", now) })

			if ps := h.in(dir, "ps").ok().stdout; strings.Count(ps, "Up ") != 4 {
				t.Errorf("ps says\n%s", ps)
			}
			for _, flags := range [][]string{{"-t"}, {"--tail", "1000"}, {"--since", "2000h"}, {"--until", "2000h"}} {
				logs := h.in(dir, append(append([]string{"logs", "--no-color", "--no-log-prefix"}, flags...), "talks")...).ok().stdout
				if flags[0] == "--until" { // all of it is younger, or from the day after
					if logs != "" {
						t.Errorf("logs %q shows %q", flags, logs)
					}
					continue
				}
				n := 0
				for line := range strings.Lines(logs) {
					if n++; !strings.HasSuffix(line, fmt.Sprintf("line %d\n", n)) {
						t.Errorf("logs %q has as line %d: %q", flags, n, line)
						break
					}
				}
				if n == 0 {
					t.Errorf("logs %q shows nothing", flags)
				}
			}
			h.in(dir, "restart", "-t", "0", "talks").ok()
			h.in(dir, "up", "-d", "--wait", "healthy").ok()
			h.in(dir, "down", "-t", "0").ok()
		})
	}
}

// setClock moves all times on record by days, while the keeper and the
// supervisor of the one project do not run.
func (h *host) setClock(days int) {
	h.t.Helper()
	keeper, supervisor := ourProcess(h.t, "compose-keeper", h.root, 0), ourProcess(h.t, "compose-supervisor", h.root, 0)
	for _, step := range []struct {
		pid int
		sig syscall.Signal
	}{{keeper, syscall.SIGSTOP}, {supervisor, syscall.SIGKILL}} {
		if err := syscall.Kill(step.pid, step.sig); err != nil {
			h.t.Fatal(err)
		}
	}
	defer func() {
		if err := syscall.Kill(keeper, syscall.SIGCONT); err != nil {
			h.t.Fatal(err)
		}
		ourProcess(h.t, "compose-supervisor", h.root, supervisor)
	}()
	eventually(h.t, "the supervisor's end", func() error {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", supervisor)); err == nil && !strings.Contains(string(stat), ") Z ") {
			return errors.New("it lives")
		}
		return nil
	})
	date := regexp.MustCompile(`\d{4}-\d\d-\d\dT`)
	for _, top := range []string{"containers", "networks", "images/index.json"} {
		err := filepath.WalkDir(filepath.Join(h.root, top), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && (d.Name() == "upper" || d.Name() == "work") {
				return fs.SkipDir
			}
			if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(path, ".json") && !strings.HasSuffix(path, ".log") {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			moved := date.ReplaceAllFunc(data, func(day []byte) []byte {
				at, err := time.Parse("2006-01-02T", string(day))
				if err != nil || at.Year() < 2000 {
					return day // none at all
				}
				return []byte(at.AddDate(0, 0, days).Format("2006-01-02T"))
			})
			return os.WriteFile(path, moved, 0o600)
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// runState is what container inspect says of a container's run.
type runState struct {
	Status        string
	Pid, ExitCode int
	RestartCount  int
	Health        struct {
		Status string
		Log    []struct{ Start time.Time }
	}
}

func (h *host) state(name string) runState {
	h.t.Helper()
	var info struct {
		RestartCount int
		State        runState
	}
	one(h.t, h.compose("container", "inspect", name).ok().stdout, &info)
	info.State.RestartCount = info.RestartCount
	return info.State
}

// health says what a container's health lacks of a state and of checks after a time.
func (h *host) health(name, want string, after time.Time) error {
	h.t.Helper()
	s := h.state(name).Health
	if s.Status != want {
		return fmt.Errorf("%s is %q, want %q", name, s.Status, want)
	}
	later := 0
	for _, check := range s.Log {
		// What was moved into the future is from before, too.
		if check.Start.After(after) && check.Start.Before(time.Now()) {
			later++
		}
	}
	if later < 2 {
		return fmt.Errorf("%s has %d checks", name, later)
	}
	return nil
}
