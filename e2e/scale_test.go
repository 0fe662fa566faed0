package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// layeredStack is a file of n services in ten layers, each service depending
// on one of the layer below. Service 0 has the tag given; the first service of
// the second layer is restarted along with it.
func layeredStack(n int, tag string) string {
	var b strings.Builder
	b.WriteString("services:\n")
	layer := n / 10
	for i := range n {
		fmt.Fprintf(&b, "  s%03d: {image: busybox, command: sleep 1000, stop_grace_period: 0s", i)
		switch {
		case i == 0:
			fmt.Fprintf(&b, ", environment: {TAG: %q}", tag)
		case i == layer:
			b.WriteString(", depends_on: {s000: {condition: service_started, restart: true}}")
		case i > layer:
			fmt.Fprintf(&b, ", depends_on: [s%03d]", i-layer)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// TestLargeStacks takes stacks of up to 200 services through their life, and
// shows with -v how the time grows.
func TestLargeStacks(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	for _, n := range []int{50, 100, 200} {
		dir := h.project(fmt.Sprintf("large%d", n), "compose.yaml", layeredStack(n, "one"))
		figures := fmt.Sprintf("%d services:", n)
		do := func(args ...string) {
			t.Helper()
			begin := time.Now()
			h.in(dir, args...).ok()
			figures += fmt.Sprintf("  %s %.2f s", strings.Join(args, " "), time.Since(begin).Seconds())
		}
		do("up", "-d")
		before := h.starts(dir)
		if len(before) != n {
			t.Fatalf("%d of %d containers run", len(before), n)
		}
		do("up", "-d")
		sameStarts(t, before, h.starts(dir))

		do("scale", "s001=20")
		more := h.starts(dir)
		if len(more) != n+19 {
			t.Errorf("%d containers after scaling, want %d", len(more), n+19)
		}
		sameStarts(t, before, more)
		do("scale", "s001=1")
		sameStarts(t, before, h.starts(dir))

		if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(layeredStack(n, "two")), 0o644); err != nil {
			t.Fatal(err)
		}
		do("up", "-d")
		after := h.starts(dir)
		changed := fmt.Sprintf("large%d-s000-1", n)
		restarted := fmt.Sprintf("large%d-s%03d-1", n, n/10)
		if after[changed].id == before[changed].id {
			t.Errorf("%s was not made anew", changed)
		}
		if after[restarted].id != before[restarted].id || after[restarted].at == before[restarted].at {
			t.Errorf("%s was not restarted: %v, now %v", restarted, before[restarted], after[restarted])
		}
		delete(before, changed)
		delete(before, restarted)
		sameStarts(t, before, after)

		do("down")
		if left := h.starts(dir); len(left) != 0 {
			t.Errorf("%d containers are left", len(left))
		}
		t.Log(figures)
	}
}

// start is which container a name means and when it was started.
type start struct{ id, at string }

// starts are those of a project's running containers, by name.
func (h *host) starts(dir string) map[string]start {
	h.t.Helper()
	out := map[string]start{}
	ids := strings.Fields(h.in(dir, "ps", "-q").ok().stdout)
	if len(ids) == 0 {
		return out
	}
	lines := h.docker(append([]string{"inspect", "-f", "{{.Name}} {{.Id}} {{.State.StartedAt}}"}, ids...)...).ok().stdout
	for line := range strings.Lines(lines) {
		f := strings.Fields(line)
		out[strings.TrimPrefix(f[0], "/")] = start{id: f[1], at: f[2]}
	}
	return out
}

// sameStarts fails the test unless all that ran before were left alone.
func sameStarts(t *testing.T, before, after map[string]start) {
	t.Helper()
	for name, b := range before {
		if after[name] != b {
			t.Errorf("%s was touched: %v, now %v", name, b, after[name])
		}
	}
}
