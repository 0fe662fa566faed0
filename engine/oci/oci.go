// Package oci is the engine's runtime as a program: an OCI runtime with the
// command line that containerd, podman and the OCI's own validation suite
// expect of one. It takes its orders from a bundle's config.json and leaves no
// process of its own behind.
//
// As with the keeper, the work is done in the package's init, before the
// initialisers of the heavy libraries in the same binary run.
package oci

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path" // path/filepath initialises after the heavy libraries
	"slices"
	"strings"
	"time"

	"compose/internal/roots"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Name is that by which the binary takes the runtime's verbs at once; by any
// other than docker it takes them behind the verb "oci".
const Name = "compose-oci"

// Version is that of the build, set with -ldflags "-X compose/engine/oci.Version=...".
var Version = "dev"

func init() {
	name := path.Base(os.Args[0])
	switch {
	case name == Name:
		takeOver(os.Args[1:])
	case name == "compose" && len(os.Args) > 1 && os.Args[1] == "oci":
		takeOver(os.Args[2:])
	}
}

// takeOver carries out a command line, and there is nothing after it. Not on
// this goroutine: while packages initialise it is bound to the process's first
// thread, and each of its waits would be one for another thread's wake-up.
func takeOver(args []string) {
	go func() { os.Exit(Main(args, "")) }()
	select {}
}

// Usage is what --help shows.
const Usage = `Usage:  compose oci [--root DIR] [--log FILE] [--log-format text|json] COMMAND

Run containers from OCI bundles

Commands:
  create   make a container: [--bundle DIR] [--pid-file FILE] [--console-socket SOCKET] ID
  start    run a created container's program: ID
  run      create, start, wait and delete: as create, or [--detach] as create and start
  exec     run one more process: [--process FILE] [--pid-file FILE] [--console-socket SOCKET] [--detach] ID [COMMAND...]
  state    print a container's state: ID
  kill     send a signal: [--all] ID [SIGNAL]
  pause, resume   freeze all processes of a container, let them go on: ID
  update   change the limits: --resources FILE ID
  ps       list the processes: [--format json|table] ID
  list     list the containers: [--quiet] [--format json|table]
  delete   remove a stopped container: [--force] ID
  features print what the runtime can do
`

// options are the flags of all verbs.
type options struct {
	root, log, logFormat string
	debug, systemd       bool

	bundle, pidFile, console, process, resources, format, cwd, user string
	force, all, detach, quiet, tty                                  bool
	env                                                             list
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// app is one invocation.
type app struct {
	options
	args []string // behind the verb's flags
}

// exitCode ends the program with a status of its own.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// Main carries out a command line and returns the exit status. The containers
// are kept below runRoot, or the default where that is empty, unless --root
// names another directory.
func Main(args []string, runRoot string) int {
	a := &app{}
	err := a.run(args, runRoot)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(os.Stderr, err)
	if a.log != "" {
		a.toLog("error", err.Error())
	}
	return 1
}

func (a *app) run(args []string, runRoot string) error {
	showVersion := false
	global := newFlags("oci")
	global.StringVar(&a.root, "root", "", "")
	global.StringVar(&a.log, "log", "", "")
	global.StringVar(&a.logFormat, "log-format", "text", "")
	global.BoolVar(&a.debug, "debug", false, "")
	global.BoolVar(&a.systemd, "systemd-cgroup", false, "")
	global.BoolVar(&showVersion, "version", false, "")
	global.BoolVar(&showVersion, "v", false, "")
	if err := global.Parse(args); err != nil {
		return usage(err)
	}
	if showVersion {
		fmt.Printf("%s version %s\nspec: %s\n", Name, Version, specs.Version)
		return nil
	}
	if global.NArg() == 0 {
		return usage(flag.ErrHelp)
	}
	if a.systemd {
		return errors.New("systemd's cgroup manager is not supported: use cgroupfs")
	}
	if a.root == "" {
		if runRoot == "" {
			r, err := roots.New(os.Getenv("COMPOSE_ROOT"), os.Getenv("COMPOSE_RUN_ROOT"))
			if err != nil {
				return err
			}
			runRoot = r.Run
		}
		a.root = path.Join(runRoot, "oci")
	}
	var err error
	if a.root, err = roots.Abs(a.root); err != nil {
		return err
	}
	return a.verb(global.Arg(0), global.Args()[1:])
}

// verbs say which flags a verb takes and what it does. minimum and maximum
// count the arguments; -1 is any number.
var verbs = map[string]struct {
	flags            []string
	minimum, maximum int
	do               func(*app) error
}{
	"create":   {[]string{"bundle", "b", "pid-file", "console-socket", "no-pivot", "no-new-keyring", "preserve-fds"}, 1, 1, (*app).create},
	"run":      {[]string{"bundle", "b", "pid-file", "console-socket", "detach", "d", "no-pivot", "no-new-keyring", "preserve-fds", "keep", "no-subreaper"}, 1, 1, (*app).runToEnd},
	"start":    {nil, 1, 1, (*app).start},
	"exec":     {[]string{"process", "p", "pid-file", "console-socket", "detach", "d", "tty", "t", "cwd", "user", "u", "env", "e", "preserve-fds"}, 1, -1, (*app).exec},
	"state":    {nil, 1, 1, (*app).state},
	"kill":     {[]string{"all", "a"}, 1, 2, (*app).kill},
	"pause":    {nil, 1, 1, (*app).pause},
	"resume":   {nil, 1, 1, (*app).resume},
	"update":   {[]string{"resources", "r"}, 1, 1, (*app).update},
	"ps":       {[]string{"format", "f"}, 1, 1, (*app).ps},
	"list":     {[]string{"quiet", "q", "format", "f"}, 0, 0, (*app).list},
	"delete":   {[]string{"force", "f"}, 1, 1, (*app).delete},
	"features": {nil, 0, 0, (*app).features},
}

func (a *app) verb(name string, args []string) error {
	v, ok := verbs[name]
	if !ok {
		return fmt.Errorf("unknown command %q; see --help for the commands there are", name)
	}
	fl := newFlags(name)
	for _, f := range v.flags {
		a.define(fl, name, f)
	}
	if err := fl.Parse(args); err != nil {
		return usage(err)
	}
	a.args = fl.Args()
	if len(a.args) < v.minimum || v.maximum >= 0 && len(a.args) > v.maximum {
		return fmt.Errorf("%s: it takes the container's ID; see --help", name)
	}
	return v.do(a)
}

func (a *app) define(fl *flag.FlagSet, verb, name string) {
	strs := map[string]*string{
		"bundle": &a.bundle, "b": &a.bundle, "pid-file": &a.pidFile, "console-socket": &a.console, "process": &a.process, "p": &a.process,
		"resources": &a.resources, "r": &a.resources, "format": &a.format, "cwd": &a.cwd, "user": &a.user, "u": &a.user,
	}
	bools := map[string]*bool{
		"force": &a.force, "all": &a.all, "a": &a.all, "detach": &a.detach, "d": &a.detach, "quiet": &a.quiet, "q": &a.quiet, "tty": &a.tty, "t": &a.tty,
	}
	switch {
	case name == "env" || name == "e":
		fl.Var(&a.env, name, "")
	case name == "f" && verb == "delete":
		fl.BoolVar(&a.force, name, false, "")
	case name == "f":
		fl.StringVar(&a.format, name, "", "")
	case strs[name] != nil:
		fl.StringVar(strs[name], name, *strs[name], "")
	case bools[name] != nil:
		fl.BoolVar(bools[name], name, false, "")
	default:
		// What others' runtimes can be told not to do; a caller that asks for
		// it is told no, but for "--preserve-fds 0", which asks for nothing.
		fl.Func(name, "", func(v string) error {
			if name == "preserve-fds" && v == "0" {
				return nil
			}
			return errors.New("not supported")
		})
	}
}

func newFlags(name string) *flag.FlagSet {
	fl := flag.NewFlagSet(name, flag.ContinueOnError)
	fl.SetOutput(io.Discard)
	return fl
}

func usage(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		fmt.Print(Usage)
		return nil
	}
	return fmt.Errorf("%w; see --help", err)
}

// warn tells of what is other than it was asked for. Standard error is the
// container's own where the caller has given us a log.
func (a *app) warn(text string) {
	if a.log == "" {
		fmt.Fprintln(os.Stderr, "warning: "+text)
		return
	}
	a.toLog("warning", text)
}

// toLog appends a line to the log that the caller reads.
func (a *app) toLog(level, text string) {
	f, err := os.OpenFile(a.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer f.Close()
	now := time.Now().UTC().Format(time.RFC3339)
	if a.logFormat != "json" {
		fmt.Fprintf(f, "time=%q level=%s msg=%q\n", now, level, text)
		return
	}
	line, _ := json.Marshal(map[string]string{"level": level, "msg": text, "time": now})
	_, _ = f.Write(append(line, '\n'))
}

// id is the container's, a name that can be no path.
func (a *app) id() (string, error) {
	id := a.args[0]
	good := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_+-.", r)
	}
	if id == "" || len(id) > 1024 || slices.ContainsFunc([]rune(id), func(r rune) bool { return !good(r) }) || id == "." || id == ".." {
		return "", fmt.Errorf("invalid container ID %q: letters, digits and _+-. make one", id)
	}
	return id, nil
}
