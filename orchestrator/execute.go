package orchestrator

import (
	"context"
	"errors"
	"runtime"
)

// defaultParallel is how many operations run side by side unless
// COMPOSE_PARALLEL_LIMIT says otherwise: enough to keep the disk busy with
// the fsyncs of some while others compute.
const defaultParallel = 32

// execute carries a plan out: each step as soon as those it waits for are
// done, at most parallel of them at once. A step that may run beside others
// begins once they have begun, and what it calls when it must not go on without
// them returns once they are done. The first failure lets what is under
// way end and starts nothing more. While nothing but waits for conditions is
// under way the project is left to other commands (idle is called), and taken
// back (busy) before the next operation.
func execute(ctx context.Context, plan *Plan, parallel int, run func(ctx context.Context, s *Step, others func() error) error, busy func() error, idle func()) error {
	if plan.Empty() {
		return nil
	}
	if parallel <= 0 {
		parallel = defaultParallel
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	waiting := make(map[*Step]int, len(plan.Steps)) // steps it still waits for
	next := make(map[*Step][]*Step, len(plan.Steps))
	beside := make(map[*Step][]*Step)     // the same for when a step begins
	done := make(map[*Step]chan struct{}) // of steps that others run beside
	var ready []*Step
	for _, s := range plan.Steps {
		waiting[s] = len(s.After) + len(s.Beside)
		for _, a := range s.After {
			next[a] = append(next[a], s)
		}
		for _, b := range s.Beside {
			if beside[b] = append(beside[b], s); done[b] == nil {
				done[b] = make(chan struct{})
			}
		}
		if waiting[s] == 0 {
			ready = append(ready, s)
		}
	}
	release := func(steps []*Step) {
		for _, s := range steps {
			if waiting[s]--; waiting[s] == 0 {
				ready = append(ready, s)
			}
		}
	}
	others := func(s *Step) error {
		for _, b := range s.Beside {
			select {
			case <-done[b]:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	}

	type result struct {
		step *Step
		err  error
	}
	results := make(chan result)
	var waits, works int
	var firstErr error
	left := false // the project was left to others
	for {
		if firstErr == nil {
			firstErr = context.Cause(ctx)
		}
		var later []*Step
		for len(ready) > 0 {
			s := ready[0]
			ready = ready[1:]
			if firstErr != nil {
				break
			}
			_, isWait := s.Op.(WaitFor)
			if !isWait && works >= parallel {
				later = append(later, s)
				continue
			}
			if !isWait && left {
				if firstErr = busy(); firstErr != nil {
					cancel()
					break
				}
				left = false
			}
			if isWait {
				waits++
			} else {
				works++
			}
			go func() { results <- result{s, run(ctx, s, func() error { return others(s) })} }()
			if len(beside[s]) > 0 {
				runtime.Gosched() // others will wait for it: it goes first
				release(beside[s])
			}
		}
		ready = later
		if waits+works == 0 {
			return firstErr
		}
		if works == 0 && !left {
			idle()
			left = true
		}
		res := <-results
		if _, isWait := res.step.Op.(WaitFor); isWait {
			waits--
		} else {
			works--
		}
		if res.err != nil {
			if firstErr == nil || errors.Is(firstErr, context.Canceled) {
				firstErr = res.err
			}
			cancel()
			continue
		}
		if c := done[res.step]; c != nil {
			close(c)
		}
		release(next[res.step])
	}
}
