package build

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"compose/engine/image"
	"compose/internal/roots"
)

// fakeSteps notes what it is asked to do, and does nothing.
type fakeSteps struct {
	mu       sync.Mutex
	expected int
	calls    []string // "+n" for what is expected, else what is run and with how many expected
}

func (f *fakeSteps) Begin() Steps { return f }
func (f *fakeSteps) End() error   { return nil }

func (f *fakeSteps) Expect(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expected += n
}

func (f *fakeSteps) Run(_ context.Context, s RunSpec) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, strings.Join(s.Args, " "))
	if s.Network == "" {
		if f.expected == 0 {
			f.calls = append(f.calls, "which nobody expected")
		}
		f.expected--
	}
	return nil
}

// TestExpectedSteps has those steps expected that will be run, all of them
// before the first, and no others.
func TestExpectedSteps(t *testing.T) {
	r, err := roots.New(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	store, err := image.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(ctx, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("Dockerfile", `FROM scratch AS other
COPY b /b
RUN ["/other"]
FROM scratch
COPY a /a
RUN ["/one"]
RUN --network=none ["/apart"]
RUN ["/two"]
COPY --from=other /b /b
`)
	build := func(opts Options, want ...string) {
		t.Helper()
		opts.Context = ctx
		f := &fakeSteps{}
		if _, err := New(store, f, r).Build(t.Context(), opts); err != nil {
			t.Fatal(err)
		}
		slices.Sort(f.calls)
		if !slices.Equal(f.calls, want) || f.expected != 0 {
			t.Errorf("run: %q, and %d more were expected", f.calls, f.expected)
		}
	}
	write("a", "1")
	write("b", "1")
	build(Options{}, "/apart", "/one", "/other", "/two")
	build(Options{})
	write("a", "2")
	build(Options{}, "/apart", "/one", "/two")
	build(Options{NoCache: true}, "/apart", "/one", "/other", "/two")
}
