package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"compose/engine/build"
	"compose/internal/roots"
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
	Parallel                int
	Root, RunRoot           string
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

// run carries out a command line and returns the exit status.
func (app *App) run(ctx context.Context, args []string) int {
	cmd := newRootCommand(app)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var exit *exitError
	if errors.As(err, &exit) {
		if exit.message != "" {
			fmt.Fprintln(app.Stderr, exit.message)
		}
		return exit.code
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return 130
	}
	var step *build.StepError
	if errors.As(err, &step) {
		fmt.Fprint(app.Stderr, step.Detail())
	}
	fmt.Fprintln(app.Stderr, err)
	return 1
}

// roots are the directories of this installation.
func (app *App) roots() (roots.Roots, error) { return roots.New(app.Root, app.RunRoot) }

// warn prints a warning.
func (app *App) warn(message string) { fmt.Fprintln(app.Stderr, "warning: "+message) }

func newRootCommand(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:              "compose [OPTIONS] COMMAND",
		Short:            "Run the services of a Compose file in containers",
		SilenceErrors:    true,
		SilenceUsage:     true,
		TraverseChildren: true,
	}
	// Not persistent: after the verb, -f and the like are the verb's own.
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringArrayVarP(&app.Files, "file", "f", nil, "A Compose file (repeatable)")
	fl.StringVarP(&app.ProjectName, "project-name", "p", "", "The project's name")
	fl.StringVar(&app.ProjectDir, "project-directory", "", "The directory that relative paths start from (default: that of the first file)")
	fl.StringArrayVar(&app.EnvFiles, "env-file", splitList("COMPOSE_ENV_FILES"), "An environment file in the place of .env (repeatable)")
	fl.StringArrayVar(&app.Profiles, "profile", nil, "A profile to switch on (repeatable)")
	fl.StringVar(&app.Progress, "progress", envOr("COMPOSE_PROGRESS", "auto"), `How progress is shown: "auto", "tty", "plain", "json" or "quiet"`)
	fl.StringVar(&app.ANSI, "ansi", envOr("COMPOSE_ANSI", "auto"), `When to use terminal control characters: "never", "always" or "auto"`)
	cmd.PersistentFlags().BoolVar(&app.DryRun, "dry-run", false, "Print what would be done and do nothing")
	fl.IntVar(&app.Parallel, "parallel", 0, "Do at most so many things side by side; -1: no limit")
	fl.BoolVar(&app.Compatibility, "compatibility", false, "Accepted for compatibility")
	fl.StringVar(&app.Root, "root", os.Getenv("COMPOSE_ROOT"), "The directory of images, volumes and containers (default "+roots.DefaultState+")")
	fl.StringVar(&app.RunRoot, "run-root", os.Getenv("COMPOSE_RUN_ROOT"), "The directory of sockets and locks (default "+roots.DefaultRun+")")
	cmd.AddCommand(
		newUpCommand(app), newCreateCommand(app), newDownCommand(app),
		newStartCommand(app), newStopCommand(app), newRestartCommand(app), newKillCommand(app),
		newPauseCommand(app), newUnpauseCommand(app), newRmCommand(app),
		newPsCommand(app), newLogsCommand(app),
		newExecCommand(app), newRunCommand(app), newAttachCommand(app), newLsCommand(app), newPortCommand(app), newImageCommand(app), newVersionCommand(app),
		newBuildCommand(app), newPullCommand(app), newConfigCommand(app), newImagesCommand(app), newTopCommand(app),
	)
	return cmd
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
