package chaos

import (
	"fmt"
	"slices"
	"strconv"
)

// verb is one command on the stack: what it changes in the model, and which
// services it may disturb.
type verb struct {
	args    []string
	touches []string
	change  func()            // of the model, before the command runs
	check   func(ended) error // of what it said, where it was let alone
	lonely  bool              // its repetition is another one: it is not repeated
}

// verb makes up the next command.
func (w *world) verb() verb {
	s := w.stack
	pick := func(names []string) string { return names[w.rand.IntN(len(names))] }
	setState := func(to state, names ...string) func() {
		return func() {
			for _, n := range names {
				if s.services[n].state != none {
					s.services[n].state = to
				}
			}
		}
	}
	there, running := s.in(up, stopped, killed, paused), s.in(up)
	steady := slices.DeleteFunc(slices.Clone(running), func(n string) bool {
		return s.services[n].kind != ticker && s.services[n].kind != silent
	})
	if len(there) == 0 {
		return w.upVerb()
	}
	for {
		switch w.rand.IntN(15) {
		case 0, 1:
			if len(s.in(paused)) == 0 {
				return w.upVerb()
			}
		case 2:
			return verb{args: []string{"down", "-v"}, touches: s.names(), change: func() {
				for _, n := range s.names() {
					s.services[n].state, s.services[n].scale = none, 1
				}
			}}
		case 3:
			n := pick(there)
			if s.services[n].state == up && s.services[n].kind != silent {
				return verb{args: []string{"stop", n}, touches: []string{n}, change: setState(stopped, n)}
			}
		case 4:
			if n := pick(there); s.services[n].state != paused {
				return verb{args: []string{"start", n}, touches: []string{n}, change: setState(up, n)}
			}
		case 5:
			if n := pick(there); s.services[n].state == up && s.services[n].kind == ticker {
				return verb{args: []string{"restart", n}, touches: []string{n}}
			}
		case 6:
			if len(steady) > 0 {
				n := pick(steady)
				return verb{args: []string{"kill", n}, touches: []string{n}, change: setState(killed, n), lonely: true}
			}
		case 7:
			n := pick(there)
			return verb{args: []string{"rm", "-sfv", n}, touches: []string{n}, change: func() { s.services[n].state, s.services[n].scale = none, 1 }}
		case 8:
			if len(steady) > 0 {
				n, to := pick(steady), 1+w.rand.IntN(3)
				if s.services[n].extra == anonymous {
					continue // what goes leaves its volumes, as with Docker Compose
				}
				return verb{args: []string{"scale", n + "=" + strconv.Itoa(to)}, touches: []string{n}, change: func() { s.services[n].scale = to }}
			}
		case 9:
			if len(steady) > 0 {
				n := pick(steady)
				return verb{args: []string{"pause", n}, touches: nil, change: setState(paused, n), lonely: true}
			}
		case 10:
			if p := s.in(paused); len(p) > 0 {
				return verb{args: append([]string{"unpause"}, p...), touches: nil, change: setState(up, p...), lonely: true}
			}
		case 11:
			return w.runVerb(pick(there))
		case 12:
			if len(steady) > 0 {
				return w.execVerb(pick(steady))
			}
		case 13:
			return w.buildVerb()
		case 14:
			if w.registry != "" {
				return w.pullVerb()
			}
		}
	}
}

// upVerb brings everything up, perhaps after a change of a service.
func (w *world) upVerb() verb {
	s := w.stack
	v := verb{args: []string{"up", "-d"}}
	for _, n := range s.names() {
		if s.services[n].state != up || s.services[n].scale > 1 {
			v.touches = append(v.touches, n)
		}
	}
	if w.rand.IntN(2) == 0 {
		n := s.names()[w.rand.IntN(len(s.names()))]
		s.services[n].version++
		w.writeStack()
		v.touches = append(v.touches, n)
	}
	v.change = func() {
		for _, svc := range s.services {
			svc.state, svc.scale = up, 1
		}
	}
	return v
}

// runVerb runs a one-off container of a service.
func (w *world) runVerb(service string) verb {
	return verb{args: []string{"run", "--rm", "--no-deps", "-T", service, "sh", "-c", "seq 1 30; exit 9"}, check: func(e ended) error {
		if e.code != 9 {
			return fmt.Errorf("%s\nthe container's status is not handed on", e)
		}
		return nil
	}, lonely: true}
}

// execVerb runs a command in a container of a service.
func (w *world) execVerb(service string) verb {
	return verb{args: []string{"exec", "-T", service, "sh", "-c", "echo hi; exit 4"}, check: func(e ended) error {
		if e.code != 4 || e.stdout != "hi\n" {
			return fmt.Errorf("%s\nnot what it ran", e)
		}
		return nil
	}}
}

// buildVerb builds what was not built before.
func (w *world) buildVerb() verb {
	w.marks++
	w.file("Dockerfile", fmt.Sprintf("FROM box\nRUN echo %d > /one\nRUN seq 1 3000 > /many; sleep 0.05\nCOPY compose.yaml /\n", w.marks))
	return verb{args: []string{"build", "built"}}
}
