package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScenarios runs the scripts below scenarios, each on a host of its own.
// scenarios/README.md says what they may say.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("scenarios/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	topics := map[string][]string{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(string(text), "\n"); !strings.HasPrefix(first, "# ") || !strings.HasSuffix(first, ".") {
			t.Errorf("%s does not begin with a sentence that says the behaviour", path)
		}
		topic := filepath.Base(filepath.Dir(path))
		topics[topic] = append(topics[topic], path)
	}
	for topic, files := range topics {
		t.Run(topic, func(t *testing.T) {
			t.Parallel()
			testscript.Run(t, testscript.Params{
				Files:              files,
				Setup:              setUpScenario,
				Cmds:               scenarioCommands,
				RequireUniqueNames: true,
			})
		})
	}
}

// onHost is the key of a scenario's host among its values.
type onHost struct{}

// setUpScenario makes the host, with the image busybox in its store, and moves
// the files of the archive into the directory app, which gives the project its
// name.
func setUpScenario(env *testscript.Env) error {
	h := newHost(env.T().(testing.TB))
	h.busybox("busybox")
	env.Values[onHost{}] = h
	files, err := os.ReadDir(env.WorkDir)
	if err != nil {
		return err
	}
	env.Cd = filepath.Join(env.WorkDir, "app")
	if err := os.Mkdir(env.Cd, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		if f.Name() == ".tmp" {
			continue // the script's own TMPDIR
		}
		if err := os.Rename(filepath.Join(env.WorkDir, f.Name()), filepath.Join(env.Cd, f.Name())); err != nil {
			return err
		}
	}
	env.Setenv("PATH", filepath.Dir(binary)+":"+env.Getenv("PATH"))
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("COMPOSE_ROOT", h.root)
	env.Setenv("COMPOSE_PROGRESS", "plain")
	return nil
}

var scenarioCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"compose": func(ts *testscript.TestScript, neg bool, args []string) {
		ends(ts, failing(neg), slices.Insert(args, 0, "compose"))
	},
	"docker": func(ts *testscript.TestScript, neg bool, args []string) {
		ends(ts, failing(neg), slices.Insert(args, 0, "docker"))
	},
	"exits":      exits,
	"eventually": tryUntil,
	"until":      until,
	"get":        getPage,
	"says":       says,
	"keep":       keep,
	"port":       freePort,
	"crash":      crash,
	"poweroff": func(ts *testscript.TestScript, neg bool, args []string) {
		ts.Value(onHost{}).(*host).powerOff()
	},
}

// failing is the status that a command ends with after "!".
func failing(neg bool) int {
	if neg {
		return 1
	}
	return 0
}

// status runs a command, for two minutes at most, and says how it ended.
func status(ts *testscript.TestScript, command []string) int {
	err := ts.Exec("timeout", append([]string{"--foreground", "--kill-after=5", "120"}, command...)...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == 124:
		ts.Fatalf("%s did not end", strings.Join(command, " "))
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// ends runs a command and fails the scenario unless it ends with this status
// and without a crash of ours.
func ends(ts *testscript.TestScript, want int, command []string) {
	if got := status(ts, command); got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
	for _, bad := range []string{"panic:", "goroutine "} {
		if strings.Contains(ts.ReadFile("stderr"), bad) {
			ts.Fatalf("standard error shows a crash")
		}
	}
}

// exits STATUS COMMAND... wants this exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	ends(ts, want, args[1:])
}

// eventually COMMAND... repeats the command until it succeeds, or fails after "!".
func tryUntil(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: [!] eventually COMMAND...")
	}
	patiently(ts, func() bool { return (status(ts, args) != 0) == neg })
}

// until PATTERN COMMAND... repeats the command until its standard output
// matches, or no longer matches after "!".
func until(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] until PATTERN COMMAND...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	patiently(ts, func() bool {
		code := status(ts, args[1:])
		return pattern.MatchString(ts.ReadFile("stdout")) != neg && (code == 0 || !neg)
	})
}

// patiently waits for what happens in its own time.
func patiently(ts *testscript.TestScript, done func() bool) {
	pause := 20 * time.Millisecond
	for deadline := time.Now().Add(patience); !done(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			ts.Fatalf("not within %s", patience)
		}
		pause = min(pause*3/2, time.Second) // each attempt is shown when the scenario fails
	}
}

// get URL reads a page of a server that may still be starting.
func getPage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: get URL")
	}
	patiently(ts, func() bool { return status(ts, []string{"curl", "-sSfg", "--max-time", "20", args[0]}) == 0 })
}

// says LINE... wants exactly these lines on standard output.
func says(ts *testscript.TestScript, neg bool, args []string) {
	got, want := strings.TrimSpace(ts.ReadFile("stdout")), strings.Join(args, "\n")
	if (got == want) == neg {
		ts.Fatalf("standard output is\n%s\nwhich is %twhat was wanted:\n%s", got, got == want, want)
	}
}

// keep NAME puts what the last command said into a variable.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keep NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// nextPort counts through ports below those that the kernel gives out by itself.
var nextPort atomic.Int32

// port NAME... puts a free port of the host into each variable.
func freePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: port NAME...")
	}
	for _, name := range args {
		ts.Setenv(name, unusedPort())
	}
}

// unusedPort is a port that nobody listens on and that the kernel gives nobody.
func unusedPort() string {
	for {
		port := fmt.Sprint(20000 + (os.Getpid()*97+int(nextPort.Add(1)))%10000)
		if l, err := net.Listen("tcp", ":"+port); err == nil {
			l.Close()
			return port
		}
	}
}

// crash supervisor|keeper kills this process of the host's one project and
// waits until another supervisor is at work.
func crash(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: crash supervisor|keeper")
	}
	h := ts.Value(onHost{}).(*host)
	before := ourProcess(h.t, "compose-supervisor", h.root, 0)
	ts.Check(syscall.Kill(ourProcess(h.t, "compose-"+args[0], h.root, 0), syscall.SIGKILL))
	ourProcess(h.t, "compose-supervisor", h.root, before)
}
