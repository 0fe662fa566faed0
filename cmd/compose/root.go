package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"compose/engine/build"
	"compose/internal/roots"
	"compose/internal/trace"
	"compose/orchestrator/keeper"
)

// App is one invocation of the command: its global flags and its streams.
type App struct {
	Stdin          *os.File
	Stdout, Stderr *os.File

	Files                   []string
	ProjectName, ProjectDir string
	EnvFiles, Profiles      []string
	Progress, ANSI          string
	DryRun, Compatibility   bool
	AllResources            bool
	Parallel                int
	Root, RunRoot           string
	Trace                   string
	InsecureRegistries      []string
	old                     oldFlags
	dryRunSteps             int // printed
	remotes                 *remotes
	hosts                   <-chan openedHost // where openAhead puts it; nil: it was not called
	signals                 heeded

	args       []string // the command line
	onlyBuilds bool     // the verb does nothing but build
}

// exitError ends the command with a status of its own; without a message
// nothing is printed, because the user has been told.
type exitError struct {
	code    int
	message string
}

func (e *exitError) Error() string { return e.message }

// exitWith is an error that only gives the exit status.
func exitWith(code int) error { return &exitError{code: code} }

// interruptedCode is the exit status of a command that a signal has ended.
const interruptedCode = 130

// run carries out a command line and returns the exit status.
func (app *App) run(ctx context.Context, args []string) int {
	app.args = args
	var cmd *cobra.Command
	if isDocker(os.Args[0]) {
		cmd = newDockerCommand(app)
	} else {
		cmd = newRootCommand(app, composeVerbs())
	}
	cmd.SetArgs(args)
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if !keeper.StartsContainers(cmd.Name()) {
			keeper.Early().Close() // what looked like such a verb was something else
		}
		return errors.Join(app.beginTrace(cmd), app.prepare(cmd))
	}
	err := cmd.ExecuteContext(ctx)
	trace.SinceStart("command", strings.Join(args, " ")).End()
	if err == nil && ctx.Err() != nil && !isDocker(os.Args[0]) {
		return interruptedCode // as Docker Compose, however well it ended
	}
	if err == nil {
		return 0
	}
	var exit *exitError
	if errors.As(err, &exit) {
		if exit.message != "" {
			app.explain(exit.message)
		}
		return exit.code
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return interruptedCode
	}
	var step *build.StepError
	if errors.As(err, &step) {
		fmt.Fprint(app.Stderr, step.Detail())
	}
	app.explain(err.Error())
	return 1
}

// beginTrace writes down how long the phases of this command take, if that was
// asked for. Those that are over by now, too.
func (app *App) beginTrace(cmd *cobra.Command) error {
	if app.Trace == "" {
		return nil
	}
	path, err := filepath.Abs(app.Trace)
	if err != nil {
		return err
	}
	if err := trace.Create(path); err != nil {
		return err
	}
	trace.SinceStart("initialise and parse the flags", cmd.CommandPath()).End()
	return nil
}

// roots are the directories of this installation.
func (app *App) roots() (roots.Roots, error) { return roots.New(app.Root, app.RunRoot) }

// warn prints a warning.
func (app *App) warn(message string) { fmt.Fprintln(app.Stderr, "warning: "+message) }

func newRootCommand(app *App, verbs []verb) *cobra.Command {
	var showVersion bool
	cmd := &cobra.Command{
		Use:              "compose [OPTIONS] COMMAND",
		Short:            "Run the services of a Compose file in containers",
		SilenceErrors:    true,
		SilenceUsage:     true,
		TraverseChildren: true,
		Args:             cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q; see --help for the verbs there are", args[0])
			}
			if showVersion {
				return printVersion(app)
			}
			app.addOthers(cmd, verbs)
			return cmd.Help()
		},
	}
	// Not persistent: after the verb, -f and the like are the verb's own.
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.BoolVarP(&showVersion, "version", "v", false, "Show the version")
	fl.StringArrayVarP(&app.Files, "file", "f", nil, "A Compose file (repeatable)")
	fl.StringVarP(&app.ProjectName, "project-name", "p", "", "The project's name")
	fl.StringVar(&app.ProjectDir, "project-directory", "", "The directory that relative paths start from (default: that of the first file)")
	fl.StringArrayVar(&app.EnvFiles, "env-file", splitList("COMPOSE_ENV_FILES"), "An environment file in the place of .env (repeatable)")
	fl.StringArrayVar(&app.Profiles, "profile", nil, "A profile to switch on (repeatable)")
	fl.StringVar(&app.Progress, "progress", envOr("COMPOSE_PROGRESS", "auto"), `How progress is shown: "auto", "tty", "plain", "json" or "quiet"`)
	fl.StringVar(&app.ANSI, "ansi", "auto", `When to use terminal control characters: "never", "always" or "auto"`)
	cmd.PersistentFlags().BoolVar(&app.DryRun, "dry-run", false, "Print what would be done and do nothing")
	fl.IntVar(&app.Parallel, "parallel", 0, "Do at most so many things side by side; -1: no limit (default 32)")
	fl.BoolVar(&app.Compatibility, "compatibility", false, "Name containers and images as Docker Compose 1 did, with underscores")
	app.globalFlags(fl)
	app.traceFlag(fl)
	fl.StringVar(&app.Root, "root", os.Getenv("COMPOSE_ROOT"), "The directory of images, volumes and containers (default "+roots.DefaultState+")")
	fl.StringVar(&app.RunRoot, "run-root", os.Getenv("COMPOSE_RUN_ROOT"), "The directory of sockets and locks (default "+roots.DefaultRun+")")
	cmd.AddCommand(app.named(verbs)...)
	cmd.CompletionOptions.DisableDefaultCmd = !app.namesAll(verbs) // it is a verb with verbs, too
	app.completeServices(cmd)
	app.completeFlags(cmd)
	return cmd
}

func (app *App) traceFlag(fl *pflag.FlagSet) {
	fl.StringVar(&app.Trace, "trace", "", "Write how long each phase takes to this file, in the Chrome trace format")
}

func splitList(env string) []string {
	return strings.FieldsFunc(os.Getenv(env), func(r rune) bool { return r == ',' })
}

func envOr(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}
