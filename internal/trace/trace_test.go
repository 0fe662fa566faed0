package trace

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// read returns the spans in a trace by name.
func read(t *testing.T, path string) map[string]struct{ TS, Dur float64 } {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var events []struct {
		Name, Ph string
		TS, Dur  float64
		PID, TID int
	}
	if err := json.Unmarshal([]byte(strings.TrimSuffix(string(data), ",\n")+"]"), &events); err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	spans := map[string]struct{ TS, Dur float64 }{}
	for _, e := range events {
		if e.PID != os.Getpid() || e.Ph == "X" && e.TID == 0 {
			t.Errorf("%+v", e)
		}
		if e.Ph == "X" {
			spans[e.Name] = struct{ TS, Dur float64 }{e.TS, e.Dur}
		}
	}
	return spans
}

func TestSpans(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Begin("nothing", "at all").End() }); n != 0 {
		t.Errorf("switched off a span allocates %v times", n)
	}
	path := filepath.Join(t.TempDir(), "trace")
	if err := os.WriteFile(path, []byte("an old trace"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Create(path); err != nil {
		t.Fatal(err)
	}
	outer := Begin("outer", `with "quotes"`)
	Begin("inner", "").End()
	outer.End()
	SinceStart("all", "").End()
	current.Load().Close()
	current.Store(nil)
	spans := read(t, path)
	all, out, in := spans["all"], spans["outer"], spans["inner"]
	if len(spans) != 3 || in.TS < out.TS || in.TS+in.Dur > out.TS+out.Dur || all.TS > out.TS {
		t.Errorf("%+v", spans)
	}

	over := SinceStart("over", "").Over()
	leave := Join(path)
	if Path() != path {
		t.Error("the trace was not joined")
	}
	over.End()
	again := Join(path)
	Begin("joined", "").End()
	leave()
	leave()
	Begin("still", "").End()
	again()
	Begin("lost", "").End()
	spans = read(t, path)
	if _, lost := spans["lost"]; lost || Path() != "" || len(spans) != 6 {
		t.Errorf("%+v", spans)
	}
}

func TestNoTrace(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "no", "file")
	if err := Create(missing); err == nil {
		t.Error("a trace was begun in a directory that is not there")
	}
	Join(missing)()
	Join("")()
	if Path() != "" {
		t.Error("a trace is on")
	}
}
