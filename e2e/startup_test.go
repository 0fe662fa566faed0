package e2e

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
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

// initialiser is a package's, as the Go runtime traces it.
type initialiser struct {
	path          string
	bytes, allocs int
}

// initialisers are those that run when the binary begins, in their order.
func initialisers(t *testing.T) (all []initialiser) {
	t.Helper()
	version := exec.Command(binary, "version")
	version.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var traced strings.Builder
	version.Stderr = &traced
	if err := version.Run(); err != nil {
		t.Fatalf("version: %v\n%s", err, traced.String())
	}
	line := regexp.MustCompile(`(?m)^init (\S+) @.*, (\d+) bytes, (\d+) allocs$`)
	for _, m := range line.FindAllStringSubmatch(traced.String(), -1) {
		i := initialiser{path: m[1]}
		i.bytes, _ = strconv.Atoi(m[2]) // digits
		i.allocs, _ = strconv.Atoi(m[3])
		all = append(all, i)
	}
	if len(all) == 0 {
		t.Fatalf("no initialiser was traced:\n%s", traced.String())
	}
	return all
}

// TestStartIsCheap has no package of ours, and none that is in the place of a
// library, make much before main: what it makes, every command pays for (see
// internal/lazy).
func TestStartIsCheap(t *testing.T) {
	ours := regexp.MustCompile(`^(main$|compose/|github\.com/distribution/reference$|github\.com/opencontainers/go-digest$|github\.com/santhosh-tekuri/jsonschema/)`)
	for _, i := range initialisers(t) {
		if ours.MatchString(i.path) && (i.bytes > 8<<10 || i.allocs > 100) {
			t.Errorf("%s allocates %d bytes in %d pieces when it initialises", i.path, i.bytes, i.allocs)
		}
	}
}

// TestKeeperIsFirst has the processes that live in the initialiser of a package
// of ours not wait for libraries that make much. The linker puts an initialiser
// behind those with an earlier path that could run as soon as it could, and that
// is as soon as all packages below it have run: an import with a late path (such
// as runtime/debug) puts it behind nearly everything.
func TestKeeperIsFirst(t *testing.T) {
	all := initialisers(t)
	for _, path := range []string{"compose/engine/runtime/initproc", "compose/orchestrator/keeper"} {
		at := slices.IndexFunc(all, func(i initialiser) bool { return i.path == path })
		if at < 0 {
			t.Errorf("%s does not initialise", path)
			continue
		}
		bytes, paths := 0, []string{}
		for _, i := range all[:at] {
			// That of the standard library has no dot in its first element.
			if first, _, _ := strings.Cut(i.path, "/"); strings.Contains(first, ".") {
				bytes, paths = bytes+i.bytes, append(paths, i.path)
			}
		}
		if bytes > 40<<10 {
			t.Errorf("before %s, libraries allocate %d bytes: %q", path, bytes, paths)
		}
	}
}

// TestLateInit has none of the packages initialise at the start that do so when
// they are first needed, nor those that promise to see to that: they would not
// know whether it has been done. Where this fails with a new version of Go, see
// internal/lateinit/held.
func TestLateInit(t *testing.T) {
	list, err := os.ReadFile("../internal/lateinit/held/tasks.go")
	if err != nil {
		t.Fatal(err)
	}
	late := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^//(?:go:linkname \S+ (\S+)\.\.inittask|   - (\S+))$`).FindAllSubmatch(list, -1) {
		late[string(m[1])+string(m[2])] = true
	}
	for _, path := range []string{"compose/engine/build", "github.com/moby/buildkit/frontend/dockerfile/parser", "github.com/klauspost/compress/zstd", "github.com/compose-spec/compose-go/v2/loader", "go.yaml.in/yaml/v4"} {
		if !late[path] {
			t.Errorf("%s is not in the list", path)
		}
	}
	for _, i := range initialisers(t) {
		if late[i.path] {
			t.Errorf("%s initialises when the program begins", i.path)
		}
	}
}

// TestRoomForFiles looks at the table of descriptors of a process that waits: it
// is large from the beginning, see initproc's entry.
func TestRoomForFiles(t *testing.T) {
	waiting := exec.Command(binary, "-f", "-", "config")
	stdin, err := waiting.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	defer waiting.Wait() // there is no project
	defer stdin.Close()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(waiting.Process.Pid) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(status), "FDSize:\t1024\n") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it has room for other than 1024 files:\n%s", status)
		}
	}
}
