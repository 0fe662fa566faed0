package spread

import (
	"fmt"
	"sync/atomic"
	"testing"
)

func TestEach(t *testing.T) {
	for _, n := range []int{0, 1, few, 2*few - 1, 2 * few, 1000} {
		calls := make([]atomic.Int32, n)
		if err := Each(n, func(i int) error { calls[i].Add(1); return nil }); err != nil {
			t.Error(err)
		}
		for i := range calls {
			if c := calls[i].Load(); c != 1 {
				t.Errorf("of %d, %d was called %d times", n, i, c)
			}
		}
	}
}

// TestEachFails has several fail, at any place, and asks for the first of them.
func TestEachFails(t *testing.T) {
	for _, n := range []int{3, 1000} {
		for _, lowest := range []int{0, 1, n - 1} {
			var last atomic.Int64
			err := Each(n, func(i int) error {
				last.Store(max(last.Load(), int64(i)))
				if i >= lowest {
					return fmt.Errorf("%d", i)
				}
				return nil
			})
			if err == nil || err.Error() != fmt.Sprint(lowest) {
				t.Errorf("of %d from %d on it returned %v", n, lowest, err)
			}
			if lowest == 0 && last.Load() > 900 {
				t.Errorf("it went on to %d behind an error", last.Load())
			}
		}
	}
}
