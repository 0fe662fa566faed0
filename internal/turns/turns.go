// Package turns lets many who want the same done at once share the doing. Who
// comes while it is under way, which may be too late for them, shares the next
// turn with all others who do.
package turns

import "sync"

// Group is a set of things that can be done, each by a name. The zero value is
// ready for use.
type Group struct {
	mu sync.Mutex
	of map[string]*queue
}

// queue is the turns of one thing, one after the other.
type queue struct {
	running chan struct{} // holds one while one is under way
	next    *turn         // the one that has not begun
	users   int
}

type turn struct {
	done chan struct{}
	err  error
}

// Do returns what do gave, or that of another caller with the same name, which
// has begun after Do was called.
func (g *Group) Do(name string, do func() error) error {
	g.mu.Lock()
	q := g.of[name]
	if q == nil {
		if g.of == nil {
			g.of = map[string]*queue{}
		}
		q = &queue{running: make(chan struct{}, 1)}
		g.of[name] = q
	}
	q.users++
	mine := q.next
	first := mine == nil
	if first {
		mine = &turn{done: make(chan struct{})}
		q.next = mine
	}
	g.mu.Unlock()

	if first {
		q.running <- struct{}{}
		g.mu.Lock()
		q.next = nil // who comes from now on may be too late for this one
		g.mu.Unlock()
		mine.err = do()
		<-q.running
		close(mine.done)
	}
	<-mine.done

	g.mu.Lock()
	if q.users--; q.users == 0 {
		delete(g.of, name)
	}
	g.mu.Unlock()
	return mine.err
}
