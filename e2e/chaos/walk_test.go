package chaos

import (
	"flag"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	walk   = flag.Bool("walk", false, "kill once at each fault point, in each verb and each of our processes that pass it")
	walkAt = flag.String("walk-at", "", "only where this is a part of \"<verb>: <process>@<point>\"")
	walkOf = flag.String("walk-of", "", "only these verbs, as a regular expression")
)

// stage is a verb that is walked through: what comes before it, and the verb.
type stage struct {
	name   string
	before func(*world) // from a stack that is up
	verb   func(*world) verb
}

// TestWalk notes which fault points each verb passes, in which of our processes,
// and then kills at each of them.
func TestWalk(t *testing.T) {
	if !*walk {
		t.Skip("a part of make chaos")
	}
	r := &report{points: map[string]int{}}
	w := newWorld(t, 1, r)
	began := time.Now()
	passed := map[string][]stage{}
	of := regexp.MustCompile("^(" + *walkOf + ")$")
	for _, s := range stages() {
		if *walkOf != "" && !of.MatchString(s.name) {
			continue
		}
		for point := range w.passes(s) {
			passed[point] = append(passed[point], s)
		}
	}
	tried, struck := 0, map[string]bool{}
	for _, point := range slices.Sorted(maps.Keys(passed)) {
		in := passed[point]
		if strings.Contains(point, "@logs: ") {
			in = in[:1] // containers write all the time
		}
		for _, s := range in {
			if len(r.violations) >= 5 || !strings.Contains(s.name+": "+point, *walkAt) {
				continue
			}
			r.steps++
			tried++
			if w.walkInto(s, point) {
				struck[point] = true
			}
		}
	}
	w.nextStack()
	t.Logf("%d kills of %d tried, at %d of the %d points that were passed, in %s; %d invariants checked; %d violations",
		r.kills, tried, len(struck), len(passed), time.Since(began).Round(time.Second), r.checked, len(r.violations))
	for _, p := range slices.Sorted(maps.Keys(passed)) {
		var verbs []string
		for _, s := range passed[p] {
			verbs = append(verbs, s.name)
		}
		t.Logf("%4d at %s (%s)", r.points[p], p, strings.Join(verbs, ", "))
	}
	for _, v := range r.violations {
		t.Error(v)
	}
}

// passes are the points that a stage passes.
func (w *world) passes(s stage) map[string]bool {
	w.prepare(s)
	v := s.verb(w)
	_ = os.Remove(w.fault + ".passed") // there may be none
	w.try(v, "note", nil)
	data, err := os.ReadFile(w.fault + ".passed")
	if err != nil {
		w.t.Fatalf("%s passes no point: %v", s.name, err)
	}
	points := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		points[strings.TrimSpace(line)] = true
	}
	return points
}

// prepare makes a stack with all that there is and brings it to where a stage begins.
func (w *world) prepare(s stage) {
	w.nextStack()
	of := func(k kind, extra string) *service { return &service{kind: k, scale: 1, state: none, extra: extra} }
	w.stack = &stack{networks: 2, services: map[string]*service{
		"ticker0":  of(ticker, "    ports: [\"127.0.0.1::80\"]\n"),
		"ticker1":  of(ticker, "    logging: {options: {max-size: 20k, max-file: \"3\"}}\n"),
		"ticker2":  of(ticker, anonymous+"    healthcheck: {test: [CMD, \"true\"], interval: 300ms}\n"),
		"crasher3": of(crasher, "    restart: always\n"),
		"oneshot4": of(oneshot, "    volumes: [\"data:/data\"]\n"),
		"silent5":  of(silent, "    init: true\n"),
	}}
	w.writeStack()
	w.must("up", "-d")
	for _, svc := range w.stack.services {
		svc.state, svc.fresh = up, true
	}
	w.violation("before "+s.name, soon(func() []string { return append(w.unlike(), w.compare()...) }))
	if s.before != nil {
		s.before(w)
	}
}

// walkInto goes through a stage with a kill at a point, and says whether
// somebody died there.
func (w *world) walkInto(s stage, point string) bool {
	w.prepare(s)
	role, name, _ := strings.Cut(point, "@")
	return w.try(s.verb(w), role+" ="+name, nil) != ""
}

// stages are the verbs, each once, and what happens without one.
func stages() []stage {
	set := func(to state, names ...string) func(*world) func() {
		return func(w *world) func() {
			return func() {
				for _, n := range names {
					w.stack.services[n].state = to
				}
			}
		}
	}
	on := func(verb, name string, to state) func(*world) {
		return func(w *world) {
			w.must(verb, name)
			w.stack.services[name].state = to
			w.stack.services[name].fresh = false
		}
	}
	simple := func(to state, name string, lonely bool, args ...string) func(*world) verb {
		return func(w *world) verb {
			return verb{args: args, touches: []string{name}, change: set(to, name)(w), lonely: lonely}
		}
	}
	return []stage{
		{"up", func(w *world) {
			w.must("down", "-v")
			for _, s := range w.stack.services {
				s.state = none
			}
		}, func(w *world) verb {
			return verb{args: []string{"up", "-d"}, touches: w.stack.names(), change: set(up, w.stack.names()...)(w)}
		}},
		{"up anew", func(w *world) {
			w.stack.services["ticker0"].version++
			w.stack.services["silent5"].version++
			w.writeStack()
		}, func(w *world) verb {
			return verb{args: []string{"up", "-d"}, touches: []string{"ticker0", "silent5"}}
		}},
		{"stop", nil, simple(stopped, "ticker0", false, "stop", "ticker0")},
		{"start", on("stop", "ticker0", stopped), simple(up, "ticker0", false, "start", "ticker0")},
		{"restart", nil, simple(up, "ticker1", false, "restart", "ticker1")},
		{"kill", nil, simple(killed, "silent5", true, "kill", "silent5")},
		{"pause", nil, simple(paused, "ticker0", true, "pause", "ticker0")},
		{"unpause", on("pause", "ticker0", paused), func(w *world) verb {
			return verb{args: []string{"unpause", "ticker0"}, change: set(up, "ticker0")(w), lonely: true}
		}},
		{"rm", nil, simple(none, "ticker2", false, "rm", "-sfv", "ticker2")},
		{"scale", nil, func(w *world) verb {
			return verb{args: []string{"scale", "ticker1=2"}, touches: []string{"ticker1"}, change: func() { w.stack.services["ticker1"].scale = 2 }}
		}},
		{"run", nil, func(w *world) verb { return w.runVerb("ticker0") }},
		{"exec", nil, func(w *world) verb { return w.execVerb("ticker0") }},
		{"build", nil, (*world).buildVerb},
		{"pull", nil, (*world).pullVerb},
		{"down", nil, func(w *world) verb {
			return verb{args: []string{"down", "-v"}, touches: w.stack.names(), change: set(none, w.stack.names()...)(w)}
		}},
		// Afterwards the keeper is the parent of what the supervisor had started.
		{"kill of an orphan", func(w *world) { w.killAlone(supervisor) }, simple(killed, "silent5", true, "kill", "silent5")},
		// And then nobody of ours.
		{"kill of init's", func(w *world) {
			w.killAlone(supervisor)
			w.killAlone(keeper)
		}, simple(killed, "silent5", true, "kill", "silent5")},
		{"the supervisor's end", nil, func(w *world) verb { return w.endVerb(supervisor) }},
		{"the keeper's end", nil, func(w *world) verb { return w.endVerb(keeper) }},
	}
}

// killAlone kills all processes of a role and waits until they are back.
func (w *world) killAlone(role string) {
	began := time.Now()
	w.kill(role)
	w.waitBack(began)
}

// endVerb is no verb: it kills those of a role. Where somebody dies of it who
// was to make good for that, there is nobody left, and the next command has to.
func (w *world) endVerb(role string) verb {
	return verb{args: []string{"ps", "-a"}, change: func() {
		w.kill(role)
		wrong := soon(func() []string {
			keepers, supervisors := len(w.processes(keeper)), len(w.processes(supervisor))
			if w.struck() != "" && keepers+supervisors == 0 || keepers == 1 && supervisors == 1 && w.answers() {
				return nil
			}
			return []string{"no supervisor has come back"}
		})
		w.violation("the end of "+role, wrong)
		if len(w.processes(supervisor)) == 0 {
			w.allGone()
		}
	}}
}
