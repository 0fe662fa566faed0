package keeper

import (
	"os"
	"path"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"compose/internal/roots"
)

// early is the pair that was started before anybody asked for one, or nil.
var early atomic.Pointer[Pair]

// Early returns the pair that was started while this process began, once, or
// nil. Most of what a supervisor needs to come up is what a command does too,
// its libraries' initialisers: side by side they take half the time.
func Early() *Pair { return early.Swap(nil) }

// startEarly starts a pair if this is a command that will need one. It only
// guesses, for nothing has been parsed yet and the libraries that could do it
// are not there: a pair too many leaves when the command ends.
func startEarly(argv []string) {
	args := argv[1:]
	if unix.Geteuid() != 0 || !startsContainers(argv) {
		return
	}
	r, err := roots.New(flag(args, "--root", os.Getenv("COMPOSE_ROOT")), flag(args, "--run-root", os.Getenv("COMPOSE_RUN_ROOT")))
	if err != nil {
		return
	}
	dir, _ := os.Getwd()
	project := flag(args, "--project-name", os.Getenv("COMPOSE_PROJECT_NAME"))
	if project = flag(args, "-p", project); project == "" {
		project = strings.ToLower(path.Base(dir))
	}
	if _, err := os.Lstat(path.Join(r.RunProject(project), SocketName)); err == nil {
		return // it has a supervisor
	}
	if pair, err := Start(); err == nil { // what is wrong is found out again, and told, later
		early.Store(pair)
	}
}

// SocketName is that of the socket in a project's run directory.
const SocketName = "supervisor.sock"

// startsContainers says whether the command line has a verb that has a
// supervisor start containers. The OCI runtime has verbs of the same names, and
// starts its containers itself.
func startsContainers(argv []string) bool {
	if path.Base(argv[0]) == "compose-oci" {
		return false
	}
	for _, a := range argv[1:] {
		switch {
		case StartsContainers(a):
			return true
		case a == "--", a == "-h", a == "--help", a == "oci":
			return false
		}
	}
	return false
}

// StartsContainers says whether a verb starts containers.
func StartsContainers(verb string) bool { return verb == "up" || verb == "run" || verb == "start" }

// flag is the value of a flag, or what it is without it.
func flag(args []string, name, otherwise string) string {
	for i, a := range args {
		if value, ok := strings.CutPrefix(a, name+"="); ok {
			return value
		}
		if a == name && i+1 < len(args) {
			return args[i+1]
		}
	}
	return otherwise
}
