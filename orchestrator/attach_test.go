package orchestrator

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"compose/engine"
)

func attachTo(s *sink, services ...string) AttachOptions {
	return AttachOptions{Sink: s, AttachTo: services, Say: func(string) {}}
}

type outcome struct {
	code int
	err  error
}

// start runs an attached `up` and waits until everything has started.
func (r *rig) start(file string, a AttachOptions, containers int) <-chan outcome {
	r.t.Helper()
	out := make(chan outcome, 1)
	p := load(r.t, file)
	go func() {
		code, err := r.UpAttached(r.t.Context(), p, UpOptions{}, a)
		out <- outcome{code, err}
	}()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		r.host.mu.Lock()
		running := 0
		for _, s := range r.host.states {
			if s.Status == engine.Running {
				running++
			}
		}
		r.host.mu.Unlock()
		if running == containers {
			return out
		}
	}
	r.t.Fatal("not everything has started")
	return nil
}

func (r *rig) outcome(ch <-chan outcome) outcome {
	r.t.Helper()
	select {
	case o := <-ch:
		return o
	case <-time.After(time.Minute):
		r.t.Fatal("up does not end")
		return outcome{}
	}
}

func TestAttachedUntilAllHaveEnded(t *testing.T) {
	r, s := newRig(t), &sink{}
	up := r.start("services: {a: {image: i}, b: {image: i}}", attachTo(s, "a", "b"), 2)
	r.host.ends("shop-a-1", 1, engine.Restarting)
	r.host.ends("shop-a-1", 3, engine.Exited)
	r.host.ends("shop-b-1", 0, engine.Exited)
	if o := r.outcome(up); o.err != nil || o.code != 0 {
		t.Errorf("got %+v", o)
	}
	got := s.String()
	for _, want := range []string{"a-1: last line of shop-a-1\na-1 exited with code 3", "a-1 exited with code 1 (restarting)", "b-1 exited with code 0"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "old line") {
		t.Errorf("what was written before is shown:\n%s", got)
	}
}

func TestAbortOnContainerExit(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*AttachOptions)
		code   int // of a, which ends first; b is then stopped with 0
		want   int
	}{
		"exit":            {func(a *AttachOptions) { a.OnExit = OnExitStop }, 4, 4},
		"failure":         {func(a *AttachOptions) { a.OnExit = OnExitFail }, 5, 5},
		"exit code from":  {func(a *AttachOptions) { a.OnExit, a.ExitCodeFrom = OnExitStop, "b" }, 4, 0},
		"code of another": {func(a *AttachOptions) { a.OnExit, a.ExitCodeFrom = OnExitStop, "a" }, 9, 9},
	} {
		t.Run(name, func(t *testing.T) {
			r, s := newRig(t), &sink{}
			a := attachTo(s, "a", "b")
			c.change(&a)
			up := r.start("services: {a: {image: i}, b: {image: i}}", a, 2)
			r.host.ends("shop-a-1", c.code, engine.Exited)
			if o := r.outcome(up); o.err != nil || o.code != c.want {
				t.Errorf("got %+v, want code %d", o, c.want)
			}
			if !slices.Contains(r.did(), "stop shop-b-1") {
				t.Error("the other was not stopped")
			}
		})
	}
}

func TestFailureOnly(t *testing.T) {
	r, s := newRig(t), &sink{}
	a := attachTo(s, "a", "b")
	a.OnExit = OnExitFail
	up := r.start("services: {a: {image: i}, b: {image: i}}", a, 2)
	r.host.ends("shop-a-1", 0, engine.Exited)
	time.Sleep(20 * time.Millisecond)
	if slices.Contains(r.did(), "stop shop-b-1") {
		t.Error("a success stopped the others")
	}
	r.host.ends("shop-b-1", 7, engine.Exited)
	if o := r.outcome(up); o.code != 7 {
		t.Errorf("got %+v", o)
	}
}

func TestInterrupt(t *testing.T) {
	r, s := newRig(t), &sink{}
	a := attachTo(s, "a")
	signals := make(chan os.Signal, 2)
	a.Interrupts = signals
	up := r.start("services: {a: {image: i}, b: {image: i, depends_on: [a]}}", a, 2)
	signals <- os.Interrupt
	if o := r.outcome(up); !errors.Is(o.err, ErrInterrupted) {
		t.Errorf("got %+v", o)
	}
	did := r.did()
	if b, a := slices.Index(did, "stop shop-b-1"), slices.Index(did, "stop shop-a-1"); b < 0 || a < b {
		t.Errorf("did %q", did)
	}
}

func TestInterruptWhileWaiting(t *testing.T) {
	r, s := newRig(t), &sink{}
	r.host.onWait = func(*engine.Container, *engine.State) {
		r.host.mu.Unlock()
		time.Sleep(time.Millisecond)
		r.host.mu.Lock()
	}
	a := attachTo(s, "a")
	signals := make(chan os.Signal, 2)
	a.Interrupts = signals
	up := r.start("services: {a: {image: i}, b: {image: i, depends_on: {a: {condition: service_completed_successfully}}}}", a, 1)
	signals <- os.Interrupt
	if o := r.outcome(up); !errors.Is(o.err, ErrInterrupted) {
		t.Errorf("got %+v", o)
	}
	if did := r.did(); !slices.Contains(did, "stop shop-a-1") || slices.Contains(did, "start shop-b-1") {
		t.Errorf("did %q", did)
	}
}

func TestFailedStartEndsAttachedUp(t *testing.T) {
	r, s := newRig(t), &sink{}
	r.host.onStart = func(*engine.Container, *engine.State) error { return errors.New("boom") }
	_, err := r.UpAttached(t.Context(), load(t, "services: {a: {image: i}}"), UpOptions{}, attachTo(s, "a"))
	if err == nil || err.Error() != "boom" {
		t.Errorf("got %v", err)
	}
}

func TestFollowLogs(t *testing.T) {
	r, s := newRig(t), &sink{}
	r.host.supervised = true
	p := load(t, "services: {a: {image: i}, b: {image: i}}")
	r.up(p, UpOptions{})
	done := make(chan error, 1)
	go func() {
		done <- r.Logs(t.Context(), Selection{Name: "shop", Project: p, Services: []string{"a"}}, 0, LogOptions{Tail: -1, Follow: true}, s)
	}()
	for !strings.Contains(s.String(), "old line of shop-a-1") {
		time.Sleep(time.Millisecond)
	}
	r.host.ends("shop-b-1", 1, engine.Exited)
	r.host.ends("shop-a-1", 2, engine.Exited)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := s.String(); got != "a-1: old line of shop-a-1\na-1: last line of shop-a-1\na-1 exited with code 2" {
		t.Errorf("got\n%s", got)
	}
}

// TestAttachedMissesNothing: a container starts only once its output is read.
func TestAttachedMissesNothing(t *testing.T) {
	r, s := newRig(t), &sink{}
	up := r.start("services: {a: {image: i}, b: {image: i}}", attachTo(s, "a", "b"), 2)
	r.host.ends("shop-a-1", 0, engine.Exited)
	r.host.ends("shop-b-1", 0, engine.Exited)
	r.outcome(up)
	did := r.did()
	first := slices.IndexFunc(did, func(d string) bool { return strings.HasPrefix(d, "start ") })
	for _, read := range []string{"read shop-a-1", "read shop-b-1"} {
		if i := slices.Index(did, read); i < 0 || i > first {
			t.Errorf("%s comes too late in %q", read, did)
		}
	}
}

// TestFollowOverRuns: one reader shows all runs of a container.
func TestFollowOverRuns(t *testing.T) {
	r, s := newRig(t), &sink{}
	r.host.supervised = true
	p := load(t, "services: {a: {image: i}, b: {image: i}}")
	r.up(p, UpOptions{})
	done := make(chan error, 1)
	go func() {
		done <- r.Logs(t.Context(), Selection{Name: "shop", Project: p}, 0, LogOptions{Tail: -1, Follow: true}, s)
	}()
	for !strings.Contains(s.String(), "old line of shop-a-1") || !strings.Contains(s.String(), "old line of shop-b-1") {
		time.Sleep(time.Millisecond)
	}
	r.host.ends("shop-a-1", 1, engine.Exited)
	r.host.starts("shop-a-1") // before or after the reader has come to the end
	r.host.ends("shop-b-1", 2, engine.Exited)
	for !strings.Contains(s.String(), "b-1 exited with code 2") {
		time.Sleep(time.Millisecond)
	}
	r.host.ends("shop-a-1", 3, engine.Exited)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got := s.String()
	if strings.Count(got, "old line of shop-a-1") != 1 || !strings.Contains(got, "a-1 exited with code 1\n") || !strings.HasSuffix(got, "a-1 exited with code 3") {
		t.Errorf("got\n%s", got)
	}
}
