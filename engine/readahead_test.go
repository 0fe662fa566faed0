package engine

import (
	"os"
	"testing"

	"compose/internal/statefile"
)

// What was read ahead is good for one look at a record, and only as long as
// nobody has written another.
func TestReadAhead(t *testing.T) {
	e := newEngine(t)
	write := func(id, name string) {
		t.Helper()
		if err := os.MkdirAll(e.dir(id), 0o700); err != nil {
			t.Fatal(err)
		}
		c := &Container{Version: formatVersion, ID: id}
		c.Spec.Name = name
		if err := statefile.WriteJSON(e.configPath(id), c); err != nil {
			t.Fatal(err)
		}
	}
	names := func() map[string]string {
		t.Helper()
		list, err := e.Containers(t.Context(), Filter{})
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, c := range list {
			out[c.ID] = c.Spec.Name
			c.Spec.Name = "changed by the caller"
		}
		return out
	}
	write("a", "one")
	write("b", "two")
	write("c", "three")
	e.ReadAhead()
	if _, ok := e.ahead.records.Load(e.configPath("a")); !ok {
		t.Fatal("nothing was read ahead")
	}
	write("b", "new") // as long as the one before
	if err := os.RemoveAll(e.dir("c")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := names(); len(got) != 2 || got["a"] != "one" || got["b"] != "new" {
			t.Errorf("%v", got)
		}
	}
	state := &State{Version: formatVersion, Status: Created}
	if err := statefile.WriteJSON(e.statePath("a"), state); err != nil {
		t.Fatal(err)
	}
	e.ReadAhead()
	state.Status = Exited
	if err := statefile.WriteJSON(e.statePath("a"), state); err != nil {
		t.Fatal(err)
	}
	if s, err := e.State("a"); err != nil || s.Status != Exited {
		t.Errorf("%+v, %v", s, err)
	}
}
