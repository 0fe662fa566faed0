package supervisor

import (
	"net/http"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

// TestRest: what commands have needed in memory is kept for the next one, and
// given back once none has come for a while.
func TestRest(t *testing.T) {
	before := debug.SetGCPercent(quick)
	defer debug.SetGCPercent(before)
	rests := func() bool {
		percent := debug.SetGCPercent(quick)
		debug.SetGCPercent(percent)
		return percent == frugal
	}
	synctest.Test(t, func(t *testing.T) {
		s := &supervisor{containers: map[string]*container{}}
		// It has something to stay for.
		s.containers["c"] = &container{s: s, restarting: true}
		for range 3 { // of whom the last stays away
			s.connection(nil, http.StateNew)
			time.Sleep(2 * restAfter)
			s.connection(nil, http.StateClosed)
			time.Sleep(restAfter - 1)
			if rests() {
				t.Error("it rests while another command may follow")
			}
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !rests() {
			t.Error("it does not rest")
		}
	})
}
