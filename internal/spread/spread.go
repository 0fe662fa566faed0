// Package spread does many small things of one kind on all processors.
package spread

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// few is for how many no second goroutine is worth its start.
const few = 8

// Each calls fn with 0 to n-1, from several goroutines at once where n is large
// enough. After an error no further calls begin; it returns that of the lowest
// number that failed.
func Each(n int, fn func(int) error) error {
	workers := min(runtime.GOMAXPROCS(0), n/few)
	var (
		taken  atomic.Int64
		failed atomic.Int64 // where, at the lowest; n for nowhere
		first  error
		lock   sync.Mutex // of first
		others sync.WaitGroup
	)
	failed.Store(int64(n))
	work := func() {
		for {
			i := taken.Add(1) - 1
			if i >= failed.Load() {
				return
			}
			if err := fn(int(i)); err != nil {
				lock.Lock()
				if i < failed.Load() {
					failed.Store(i)
					first = err
				}
				lock.Unlock()
			}
		}
	}
	for range workers - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	return first
}
