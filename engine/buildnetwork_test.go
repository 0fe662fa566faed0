package engine

import (
	"os"
	"testing"
	"time"
)

// TestStepNetworks has the network of a build last from the first step that is
// expected to the last, each step have its own side of it, made ahead, and
// nothing be left.
func TestStepNetworks(t *testing.T) {
	e := newEngine(t)
	s := &stepSides{engine: e}
	until := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not in time: %s", what)
			}
		}
	}
	ahead := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.ahead) == 1
	}
	gone := func() bool {
		_, err := e.Networks().Network(buildNetwork)
		left, _ := os.ReadDir(e.stepsDir())
		return err != nil && len(left) == 0
	}
	take := func(mode string) *stepSide {
		t.Helper()
		side, err := s.take(t.Context(), mode)
		if err != nil {
			t.Fatal(err)
		}
		return side
	}
	s.expect(3)
	until("the first step's side is made ahead", ahead)
	first := take("")
	until("the next one is made beside the first step", ahead)
	second := take("")
	if a, b := first.sandbox.Endpoints(), second.sandbox.Endpoints(); len(a) != 1 || len(b) != 1 || a[0].IPv4 == b[0].IPv4 {
		t.Errorf("the steps have %v and %v", a, b)
	}
	until("the third one's too", ahead)
	s.expect(-1) // it is known after all
	s.give(first)
	s.give(second)
	until("with the last step all is given back", gone)
	s.give(take("")) // which nobody expected
	until("this one's too", gone)
	s.give(take("host"))
	s.give(take("none"))
	s.expect(1) // which never comes
	if err := s.end(); err != nil || !gone() {
		t.Errorf("the end: %v, all is given back: %v", err, gone())
	}
}
