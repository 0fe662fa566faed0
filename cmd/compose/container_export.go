package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"compose/engine"
	"compose/orchestrator"
)

func newContainerExportCommand(app *App) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "export [OPTIONS] CONTAINER",
		Short: "Write a container's files as a tar archive",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" && term.IsTerminal(int(app.Stdout.Fd())) {
				return errors.New("cowardly refusing to save to a terminal. Use the -o flag or redirect")
			}
			return app.onContainer(cmd.Context(), args[0], func(e *engine.Engine, c *orchestrator.Container) error {
				return writeTo(app, output, func(w io.Writer) error { return e.ExportContainer(cmd.Context(), c.ID, w) })
			})
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "The file to write, in the place of standard output")
	return cmd
}

func newContainerDiffCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "diff CONTAINER",
		Short: "Show what a container has changed in its files",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.onContainer(cmd.Context(), args[0], func(e *engine.Engine, c *orchestrator.Container) error {
				changes, err := e.Diff(cmd.Context(), c.ID)
				for _, ch := range changes {
					fmt.Fprintf(app.Stdout, "%c %s\n", ch.Kind, ch.Path)
				}
				return err
			})
		},
	}
}

func newContainerCommitCommand(app *App) *cobra.Command {
	f := &commitFlags{}
	cmd := &cobra.Command{
		Use:   "commit [OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
		Short: "Make an image of a container",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.of(args)
			return app.onContainer(cmd.Context(), args[0], func(e *engine.Engine, c *orchestrator.Container) error {
				return f.commit(cmd.Context(), app, e, c)
			})
		},
	}
	f.register(cmd.Flags())
	return cmd
}

// commitFlags are those that the commit of a container and of a service have.
type commitFlags struct {
	engine.CommitOptions
	pause bool
}

func (f *commitFlags) register(fl *pflag.FlagSet) {
	fl.StringVarP(&f.Author, "author", "a", "", "Who made it")
	fl.StringVarP(&f.Message, "message", "m", "", "What for")
	fl.StringArrayVarP(&f.Changes, "change", "c", nil, "A Dockerfile instruction for the image's configuration (repeatable)")
	fl.BoolVarP(&f.pause, "pause", "p", true, "Freeze the container meanwhile")
}

// of takes the image's name from the arguments, if it has one.
func (f *commitFlags) of(args []string) {
	if len(args) == 2 {
		f.Ref = args[1]
	}
	f.NoPause = !f.pause
}

// commit makes the image and prints its ID.
func (f *commitFlags) commit(ctx context.Context, app *App, e *engine.Engine, c *orchestrator.Container) error {
	img, err := e.Commit(ctx, c.ID, f.CommitOptions)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(app.Stdout, img.ID)
	return err
}
