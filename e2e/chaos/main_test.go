package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is a compose with fault points; TestMain builds it.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "chaos: real containers need root")
		return 1
	}
	dir, err := os.MkdirTemp("", "cc-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "compose")
	build := exec.Command("go", "build", "-trimpath", "-tags", "faults", "-ldflags", "-s -w -E compose/internal/entry.entry", "-o", binary, "../../cmd/compose")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "chaos: build the binary: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
