package netbridge

import (
	"strings"
	"testing"
)

// TestOutgoing ends containers and removes their network: its interfaces are
// gone with it, at once, while the namespaces are let go together and later.
func TestOutgoing(t *testing.T) {
	w := newWorld(t)
	w.network(NetworkConfig{Name: "net"})
	for _, name := range []string{"a", "b", "c"} {
		s := w.container(name, SandboxConfig{}, "net")
		must(t, s.Close(t.Context()))
		must(t, s.Close(t.Context()))
	}
	w.m.mu.Lock()
	held := w.m.outgoing.namespaces
	w.m.mu.Unlock()
	if len(held) != 3 {
		t.Errorf("%d namespaces wait, not 3", len(held))
	}
	must(t, w.m.RemoveNetwork(t.Context(), "net"))
	if links := w.host.sh(t, "ip -o link"); strings.Contains(links, "cv"+w.m.tag) {
		t.Errorf("left: %s", links)
	}
	w.m.letGo()
	for _, ns := range held {
		if err := ns.Close(); err == nil {
			t.Error("a namespace was not let go")
		}
	}
	if len(w.m.outgoing.namespaces) > 0 {
		t.Error("namespaces that were let go still count")
	}
}
