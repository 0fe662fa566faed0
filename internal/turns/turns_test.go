package turns

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// TestShare has many want the same: each gets what began after it had asked,
// and they share.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group
		var asked, done, count atomic.Int32
		hold, boom := make(chan struct{}), errors.New("boom")
		do := func() error {
			n, certain := count.Add(1), asked.Load()
			<-hold
			if n == 2 {
				return boom
			}
			done.Store(certain)
			return nil
		}
		errs := make(chan error, 100)
		ask := func(times int) {
			for range times {
				go func() {
					mine := asked.Add(1)
					err := g.Do("it", do)
					if err == nil && done.Load() < mine {
						t.Errorf("the turn of the %dth began when %d had asked", mine, done.Load())
					}
					errs <- err
				}()
			}
			synctest.Wait()
		}
		ask(1)
		ask(50) // they wait for the second turn
		go func() {
			if err := g.Do("something else", func() error { return nil }); err != nil {
				t.Error(err)
			}
		}()
		hold <- struct{}{}
		synctest.Wait() // that has begun
		ask(10)         // and these for the third
		close(hold)
		failed := 0
		for range 61 {
			if <-errs != nil {
				failed++
			}
		}
		if count.Load() != 3 || failed != 50 {
			t.Errorf("%d turns, not 3; %d failed, not 50", count.Load(), failed)
		}
		synctest.Wait()
		if len(g.of) > 0 {
			t.Errorf("left: %v", g.of)
		}
	})
}
