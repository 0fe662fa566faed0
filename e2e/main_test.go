package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
)

// binary is the compose that every scenario runs; TestMain builds it.
var binary string

func TestMain(m *testing.M) {
	if os.Args[0] == overheardName {
		os.Exit(becomeOverheard(os.Args[1:]))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "e2e: the scenarios make real containers and need root")
		return 1
	}
	heedSignals()
	dir, err := os.MkdirTemp("", "ce-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Other users of the host, here a test that drops root, must be able to run it.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	binary = filepath.Join(dir, "compose")
	if err := provide(binary); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	// Called docker, it takes Docker's verbs.
	if err := os.Symlink("compose", filepath.Join(dir, "docker")); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	stock = filepath.Join(dir, "stock")
	moreInParallel()
	return m.Run()
}

// heedSignals has programs that scenarios start end by the signals that a shell
// without job control has its background commands ignore, and with them all
// that descends from these: whoever starts the tests by "make test &".
func heedSignals() {
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(s) {
			// One that is caught here has its default effect in a child.
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}

// provide has the binary built, or takes the one that COMPOSE_E2E_BINARY names:
// it is for hosts where nothing can be built.
func provide(binary string) error {
	if given := os.Getenv("COMPOSE_E2E_BINARY"); given != "" {
		return os.Symlink(given, binary)
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -E compose/internal/entry.entry -X main.version=v0.0.0-e2e", "-o", binary, "../cmd/compose")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	return nil
}

// moreInParallel lets more scenarios run at once than there are processors,
// unless told how many: they wait for containers more than they compute.
func moreInParallel() {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "test.parallel" })
	if !told {
		_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
	}
}
