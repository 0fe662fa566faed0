package chaos

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine"
	"compose/engine/runtime"
)

var (
	kills = flag.Int("kills", 40, "how many processes are killed")
	// With what takes its time on a loaded machine.
	patience = flag.Duration("patience", 3*time.Minute, "how long what is to come about by itself is waited for")
	seed     = flag.Uint64("seed", 0, "of what is random; 0: another one each time")
)

// TestChaos is one long life of many stacks. It prints its seed; a run with
// that makes the same choices again.
func TestChaos(t *testing.T) {
	chosen := *seed
	if chosen == 0 {
		chosen = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", chosen)
	began := time.Now()
	r := &report{points: map[string]int{}}
	w := newWorld(t, chosen, r)
	lives := 0
	for r.kills < *kills && len(r.violations) < 5 {
		r.steps++
		if lives++; lives > 12 {
			lives = 0
			w.nextStack()
			continue
		}
		if w.rand.IntN(5) == 0 && len(w.stack.in(up, paused)) > 0 {
			w.killAtRest()
		} else {
			w.step()
		}
	}
	w.nextStack()
	var slowest time.Duration
	for _, d := range r.back {
		slowest = max(slowest, d)
	}
	t.Logf("%d kills in %d steps and %s, at %d different points; %d invariants checked; the supervisor was back within %s at most (%d times); %d violations",
		r.kills, r.steps, time.Since(began).Round(time.Second), len(r.points), r.checked, slowest.Round(time.Millisecond), len(r.back), len(r.violations))
	for _, p := range slices.Sorted(maps.Keys(r.points)) {
		t.Logf("%4d at %s", r.points[p], p)
	}
	for _, v := range r.violations {
		t.Error(v)
	}
}

// running are the containers that a verb may not disturb.
type running struct {
	pid   int
	start uint64
	name  string
}

func (w *world) undisturbed(touched []string) map[string]running {
	d, err := w.disk()
	if err != nil {
		w.t.Fatal(err)
	}
	all := map[string]running{}
	for i := range d.containers {
		c := &d.containers[i]
		svc := w.stack.services[c.service()]
		if c.runs() && svc != nil && (svc.kind == ticker || svc.kind == silent) && !slices.Contains(touched, c.service()) && !c.oneOff() {
			all[c.ID] = running{c.state.PID, c.state.PIDStart, c.Spec.Name}
		}
	}
	return all
}

// violation notes that something is wrong after a step.
func (w *world) violation(step string, wrong []string) bool {
	if len(wrong) == 0 {
		return false
	}
	w.report.violations = append(w.report.violations, fmt.Sprintf("step %d, %s:\n\t%s\nsupervisor's log:\n%s",
		w.report.steps, step, strings.Join(wrong, "\n\t"), w.supervisorLog()))
	w.t.Logf("violation: %s\n%s\n%s", w.report.violations[len(w.report.violations)-1], w.containersNow(), namespaceHolders())
	return true
}

// namespaceHolders are the processes that are in another network namespace than this
// one, or hold one open.
func namespaceHolders() string {
	var list strings.Builder
	ours, _ := os.Readlink("/proc/self/ns/net")
	links, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	open, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range append(links, open...) {
		if ns, _ := os.Readlink(link); strings.HasPrefix(ns, "net:") && ns != ours {
			line, _ := os.ReadFile(filepath.Join("/", strings.Join(strings.Split(link, "/")[:3], "/"), "cmdline"))
			fmt.Fprintf(&list, "%s: %s (%s)\n", link, ns, strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " ")))
		}
	}
	return list.String()
}

// step runs one command while somebody is killed, and then once more.
func (w *world) step() {
	v := w.verb()
	who := []string{command, command, supervisor, supervisor, keeper}[w.rand.IntN(5)]
	at, after := w.rand.IntN(40), time.Duration(w.rand.IntN(150))*time.Millisecond
	if w.rand.IntN(3) > 0 {
		w.try(v, fmt.Sprintf("%s %d", who, at), nil)
		return
	}
	w.try(v, "off", func(p *os.Process) string {
		time.Sleep(after)
		if who == command && p.Signal(unix.Signal(0)) == nil && p.Kill() == nil || who != command && w.kill(who) {
			return fmt.Sprintf("%s after %s", who, after)
		}
		return ""
	})
}

// try runs a command while the process that aim says is killed, or the one that
// timed kills, and looks what has become of it. It says who it was, or "".
func (w *world) try(v verb, aim string, timed func(*os.Process) string) (killed string) {
	before := w.undisturbed(v.touches)
	w.freshness(v)
	w.arm(aim)
	if v.change != nil {
		v.change()
	}
	var meanwhile func(*os.Process)
	if timed != nil {
		meanwhile = func(p *os.Process) { killed = timed(p) }
	}
	e := w.run(meanwhile, v.args...)
	if timed == nil {
		if killed = w.struck(); killed != "" {
			w.report.points[killed]++
		}
	}
	w.arm("off")
	if killed != "" {
		w.report.kills++
	}
	name := fmt.Sprintf("%s [killed: %s]", e.line, killed)
	if os.Getenv("CHAOS_TRACE") != "" {
		w.t.Logf("step %d: %s -> %d", w.report.steps, name, e.code)
	}
	commandKilled := killed != "" && e.code == -1
	if commandKilled && v.args[0] == "run" {
		w.unstarted++
	}
	if !commandKilled {
		if v.check != nil {
			if err := v.check(e); err != nil {
				w.violation(name, []string{err.Error()})
			}
		} else if e.code != 0 {
			w.violation(name, []string{"the command failed: " + e.String()})
		}
	}
	if commandKilled || e.code != 0 && v.check == nil {
		again := w.run(nil, v.args...)
		// Where the first did its work before it died, there may be nothing left to do.
		if again.code != 0 && v.check == nil && !v.lonely {
			w.violation(name, []string{"the command after it failed: " + again.String()})
		}
	}
	w.check(name, before)
	return killed
}

// freshness notes which containers are started for the first time.
func (w *world) freshness(v verb) {
	for n, s := range w.stack.services {
		if v.args[0] == "up" && s.state == none {
			s.fresh = true
		} else if slices.Contains(v.touches, n) {
			s.fresh = false
		}
	}
}

// killAtRest kills the supervisor, the keeper or both while nobody asks
// anything of them.
func (w *world) killAtRest() {
	before := w.undisturbed(nil)
	if len(w.processes(supervisor)) == 0 {
		return
	}
	name := "killed at rest: "
	who := w.rand.IntN(5)
	if who == 1 && w.stack.hasTerminal() {
		who = 2 // a terminal that nobody holds hangs up
	}
	switch who {
	case 0:
		name += "keeper"
		w.kill(keeper)
	case 1:
		name += "keeper and supervisor"
		w.allGone()
		end(append(w.processes(keeper), w.processes(supervisor)...))
		w.must("ps") // the next command adopts
	default:
		name += "supervisor"
		w.kill(supervisor)
	}
	w.report.kills++
	began := time.Now()
	w.waitBack(began)
	w.check(name, before)
}

// allGone notes that nobody of ours looks after what runs, for a moment: see
// docs/crash-safety.md for what is lost then.
func (w *world) allGone() {
	d, err := w.disk()
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range d.containers {
		w.gaps[d.containers[i].ID]++
	}
}

// waitBack waits until there is a supervisor that answers.
func (w *world) waitBack(began time.Time) {
	wrong := soon(func() []string {
		if len(w.processes(supervisor)) != 1 || len(w.processes(keeper)) != 1 || !w.answers() {
			return []string{"no supervisor has come back"}
		}
		return nil
	})
	if !w.violation("after a kill", wrong) {
		w.report.back = append(w.report.back, time.Since(began))
	}
}

// check compares the kernel with the disk and the stack with its model.
func (w *world) check(step string, before map[string]running) {
	w.report.checked++
	var wrong []string
	for id, r := range before {
		if runtime.StartTicks(r.pid) != r.start {
			wrong = append(wrong, fmt.Sprintf("%s (%s) was to run on undisturbed: process %d is gone", r.name, id[:12], r.pid))
		}
	}
	wrong = append(wrong, soon(func() []string { return append(w.unlike(), w.compare()...) })...)
	wrong = append(wrong, w.checkOutputs()...)
	if w.rand.IntN(4) == 0 {
		wrong = append(wrong, w.checkStore()...)
	}
	if w.violation(step, wrong) {
		w.nextStack()
	}
}

func (w *world) checkOutputs() (wrong []string) {
	d, err := w.disk()
	if err != nil {
		return []string{err.Error()}
	}
	for i := range d.containers {
		c := &d.containers[i]
		if svc := w.stack.services[c.service()]; svc != nil && svc.kind != silent && !c.oneOff() && c.state.Status != engine.Created {
			wrong = append(wrong, w.checkOutput(c, svc)...)
		}
	}
	return wrong
}

// nextStack takes the stack down, sees that nothing is left, and makes another.
func (w *world) nextStack() {
	e := w.run(nil, "down", "-v", "--remove-orphans", "-t", "0")
	if e.code != 0 {
		w.violation("the last down", []string{e.String()})
	}
	w.report.checked++
	w.violation("after the last down", soon(w.empty))
	w.unstarted = 0
	w.newStack()
}
