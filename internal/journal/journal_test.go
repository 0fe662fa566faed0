package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

var errEnough = errors.New("enough")

// collect follows the journal in the background until n events have come.
func collect(t *testing.T, dir string, since time.Time, n int) (wait func() []Event) {
	t.Helper()
	var list []Event
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	go func() {
		defer cancel()
		done <- follow(ctx, dir, since, time.Time{}, func(e Event) error {
			if list = append(list, e); len(list) == n {
				return errEnough
			}
			return nil
		})
	}()
	return func() []Event {
		if err := <-done; !errors.Is(err, errEnough) {
			t.Errorf("follow ended with %d events of %d: %v", len(list), n, err)
		}
		return list
	}
}

func write(t *testing.T, dir, id string, n int) {
	t.Helper()
	for i := range n {
		if err := add(dir, []Event{{Type: "container", Action: strconv.Itoa(i), ID: id}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsWrittenMeanwhileComesOnceAndInOrder(t *testing.T) {
	dir := t.TempDir()
	begin := time.Now()
	write(t, dir, "before", 3)
	all := collect(t, dir, begin, 3+4*200)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() { write(t, dir, fmt.Sprint(w), 200) })
	}
	wg.Wait()
	next := map[string]int{}
	var last time.Time
	for _, e := range all() {
		if e.Action != strconv.Itoa(next[e.ID]) {
			t.Fatalf("of writer %s came %s, not %d", e.ID, e.Action, next[e.ID])
		}
		next[e.ID]++
		if e.Time.Before(last) {
			t.Fatalf("%v comes after %v", e.Time, last)
		}
		last = e.Time
	}
}

func TestNewFilesAreFollowed(t *testing.T) {
	dir := t.TempDir()
	long := map[string]string{"image": string(make([]byte, sizeLimit/16))} // \u0000 each: six times that
	const n, ahead = 24, 4                                                 // more than a file at once
	came := make(chan string, n)
	ended := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	begin := time.Now()
	go func() {
		ended <- follow(ctx, dir, begin, time.Time{}, func(e Event) error {
			came <- e.Action
			return nil
		})
	}()
	for i := range n {
		if err := add(dir, []Event{{Action: strconv.Itoa(i), Attributes: long}}); err != nil {
			t.Fatal(err)
		}
		if i%ahead != ahead-1 {
			continue
		}
		for j := i + 1 - ahead; j <= i; j++ {
			select {
			case got := <-came:
				if got != strconv.Itoa(j) {
					t.Fatalf("after %d events %s came, not %d", i+1, got, j)
				}
			case err := <-ended:
				t.Fatalf("follow ended before event %d: %v", j, err)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, pastName)); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ended // it has a last look, which would bring the directory back
}

func TestSinceAndUntil(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", 1)
	from := time.Now()
	write(t, dir, "b", 2)
	to := time.Now()
	write(t, dir, "c", 1)
	var got []string
	err := follow(t.Context(), dir, from, to, func(e Event) error {
		got = append(got, e.ID+e.Action)
		return nil
	})
	if err != nil || fmt.Sprint(got) != "[b0 b1]" {
		t.Fatal(got, err)
	}
}

func TestAHalfLineHurtsNobody(t *testing.T) {
	dir := t.TempDir()
	begin := time.Now()
	write(t, dir, "a", 1)
	f, err := os.OpenFile(filepath.Join(dir, nowName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"time":"20`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	write(t, dir, "b", 1)
	list := collect(t, dir, begin, 2)()
	if list[0].ID != "a" || list[1].ID != "b" {
		t.Fatal(list)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := follow(ctx, t.TempDir(), time.Time{}, time.Time{}, func(Event) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

// TestTogether has events that come while another is being written share the
// next write.
func TestTogether(t *testing.T) {
	dir, begin := t.TempDir(), time.Now()
	busy, free := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = writing.Do(dir, func() error {
			close(busy)
			<-free
			return nil
		})
	})
	<-busy
	queued := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(waiting[dir])
	}
	for i := range 4 {
		wg.Go(func() { write(t, dir, fmt.Sprint(i), 1) })
	}
	for deadline := time.Now().Add(time.Minute); queued() < 4 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if n := queued(); n != 4 {
		t.Errorf("%d events wait, not 4", n)
	}
	close(free)
	wg.Wait()
	if n := queued(); n != 0 {
		t.Errorf("%d events are still waiting", n)
	}
	collect(t, dir, begin, 4)()
}
