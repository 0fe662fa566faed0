package netbridge

import "testing"

// TestProcessNS opens the host's namespace from a thread that is elsewhere, first
// of all: what the process began in must not be mixed up with where the thread is.
func TestProcessNS(t *testing.T) {
	open := func() bool {
		h, err := openHostNS()
		must(t, err)
		h.file.Close()
		return h.native
	}
	must(t, newNS(t).run(func() error {
		if open() {
			t.Error("a namespace made a moment ago is taken for the process's own")
		}
		return nil
	}))
	if !open() {
		t.Error("the process's own namespace is taken for another")
	}
}
