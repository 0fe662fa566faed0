package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"compose/internal/roots"
)

// isDocker says that the binary was called by the name `docker`, and is to
// take Docker's own verbs.
func isDocker(arg0 string) bool { return filepath.Base(arg0) == "docker" }

// newDockerCommand is the command line of `docker`: the same verbs under the
// names that its users type.
func newDockerCommand(app *App) *cobra.Command {
	var showVersion bool
	var ignored string
	cmd := &cobra.Command{
		Use:              "docker [OPTIONS] COMMAND",
		Short:            "Run containers",
		SilenceErrors:    true,
		SilenceUsage:     true,
		TraverseChildren: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("docker: unknown command: docker %s\n\nRun 'docker --help' for the verbs there are", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if showVersion {
				_, err := fmt.Fprintf(app.Stdout, "Docker version %s, build compose\n", version)
				return err
			}
			return cmd.Help()
		},
	}
	fl := cmd.Flags()
	fl.BoolVarP(&showVersion, "version", "v", false, "Print the version")
	app.traceFlag(fl)
	fl.StringVar(&app.Root, "root", os.Getenv("COMPOSE_ROOT"), "The directory of images, volumes and containers (default "+roots.DefaultState+")")
	fl.StringVar(&app.RunRoot, "run-root", os.Getenv("COMPOSE_RUN_ROOT"), "The directory of sockets and locks (default "+roots.DefaultRun+")")
	for _, name := range []string{"context", "host", "config", "log-level"} {
		fl.StringVar(&ignored, name, "", "Accepted for compatibility: there is no daemon to choose")
		_ = fl.MarkHidden(name) // the flag exists
	}
	fl.BoolP("debug", "D", false, "Accepted for compatibility")
	app.Progress, app.ANSI = envOr("BUILDKIT_PROGRESS", "auto"), "auto"

	compose := newRootCommand(app, projectVerbs)
	compose.Use = "compose [OPTIONS] COMMAND"
	cmd.AddCommand(containerVerbs(app)...)
	cmd.AddCommand(newContainerLsCommand(app), newDockerInspectCommand(app), newSystemInfoCommand(app), newSystemEventsCommand(app), newDockerVersionCommand(app), compose)
	cmd.AddCommand(imageVerbs(app)...)
	for _, v := range managementVerbs {
		cmd.AddCommand(v.make(app))
	}
	return cmd
}

// group is a command that is made up of verbs. They are made only where the
// command line names it: all verbs with their flags together take longer to
// make than most commands need.
func (app *App) group(cmd *cobra.Command, verbs func() []*cobra.Command) *cobra.Command {
	cmd.Args, cmd.RunE = cobra.NoArgs, showHelp
	if slices.Contains(app.args, cmd.Name()) {
		cmd.AddCommand(verbs()...)
	}
	return cmd
}

// imageVerbs are those about images that `docker` has at its top level.
func imageVerbs(app *App) []*cobra.Command {
	images := newImageLsCommand(app)
	images.Use, images.Aliases = "images [OPTIONS] [REPOSITORY[:TAG]]", nil
	rmi := newImageRmCommand(app)
	rmi.Use, rmi.Aliases = "rmi [OPTIONS] IMAGE [IMAGE...]", nil
	return []*cobra.Command{
		newImageBuildCommand(app), images, rmi, newImagePullCommand(app), newImageTagCommand(app), newImageImportCommand(app),
		newImagePushCommand(app), newImageSaveCommand(app), newImageLoadCommand(app), newImageHistoryCommand(app),
	}
}
