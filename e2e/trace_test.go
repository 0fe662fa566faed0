package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTrace looks at where a start's time goes, in all processes.
func TestTrace(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("traced", "compose.yml", "services:\n  web:\n    image: busybox\n    command: sleep 1000\n")
	h.in(dir, "--trace", "up.json", "up", "-d").ok()
	wanted := []string{
		"compose/initialise and parse the flags", "compose/load the files", "compose/observe the host", "compose/plan",
		"compose/create the network", "compose/start the supervisor", "compose/command",
		"compose-supervisor/come up", "compose-supervisor/start",
		"compose-supervisor/make its network", "compose-supervisor/mount its file systems", "compose-supervisor/make the cgroup",
		"compose-supervisor/execute its program", "compose-supervisor/write durably",
	}
	up := traced(t, filepath.Join(dir, "up.json"))
	for _, want := range wanted {
		if !up[want] {
			t.Errorf("none of %s in %v", want, up)
		}
	}
	h.in(dir, "restart", "-t", "0").ok()
	h.in(dir, "--trace", "down.json", "down", "-t", "0").ok()
	down := traced(t, filepath.Join(dir, "down.json"))
	if !down["compose-supervisor/stop"] || !down["compose/remove the bridge"] || down["compose-supervisor/start"] {
		t.Errorf("the spans of down are %v", down)
	}
	h.in(dir, "--trace", "no/such/directory", "ps").fails(1, "begin the trace", "no/such/directory")
}

// traced returns the spans in a trace as <process>/<name>.
func traced(t *testing.T, path string) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var events []struct {
		Name, Ph string
		TS, Dur  float64
		PID      int
		Args     struct{ Name string }
	}
	if err := json.Unmarshal([]byte(strings.TrimSuffix(string(data), ",\n")+"]"), &events); err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	processes := map[int]string{}
	spans := map[string]bool{}
	for _, e := range events {
		if e.Ph == "M" {
			processes[e.PID] = filepath.Base(e.Args.Name)
		}
	}
	for _, e := range events {
		if e.Ph == "X" && e.TS > 0 && e.Dur >= 0 {
			spans[processes[e.PID]+"/"+e.Name] = true
		}
	}
	return spans
}
