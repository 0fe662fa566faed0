package supervisor

import (
	"testing"
	"time"
)

// TestForgetsTheGone removes one container after another.
func TestForgetsTheGone(t *testing.T) {
	s := &supervisor{containers: map[string]*container{"new": nil}, gone: map[string]goneCode{
		"old": {1, time.Now().Add(-goneFor)}, "recent": {2, time.Now()},
	}}
	s.forget("new", 3)
	if len(s.containers) != 0 {
		t.Error("the container is still there")
	}
	for id, want := range map[string]int{"recent": 2, "new": 3} {
		if code, ok := s.exitCodeOf(id); code != want || !ok {
			t.Errorf("exit code of %s: %d, %v", id, code, ok)
		}
	}
	if len(s.gone) != 2 {
		t.Errorf("it keeps %v", s.gone)
	}
}
