package e2e

import (
	"debug/buildinfo"
	"strings"
	"testing"
)

// TestStartReadsNoGroups looks at what the binary tells the Go runtime: not to
// read control groups and mounts at each start (see cmd/compose/main.go).
func TestStartReadsNoGroups(t *testing.T) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	settings := ""
	for _, s := range info.Settings {
		if s.Key == "DefaultGODEBUG" {
			settings = s.Value
		}
	}
	for _, want := range []string{"containermaxprocs=0", "updatemaxprocs=0"} {
		if !strings.Contains(","+settings+",", ","+want+",") {
			t.Errorf("the runtime's settings are %q, without %s", settings, want)
		}
	}
}
