package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"compose/engine"
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
			s, c, err := app.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer s.close()
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			return writeTo(app, output, func(w io.Writer) error { return e.ExportContainer(cmd.Context(), c.ID, w) })
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
			s, c, err := app.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer s.close()
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			changes, err := e.Diff(cmd.Context(), c.ID)
			for _, ch := range changes {
				fmt.Fprintf(app.Stdout, "%c %s\n", ch.Kind, ch.Path)
			}
			return err
		},
	}
}

func newContainerCommitCommand(app *App) *cobra.Command {
	var opts engine.CommitOptions
	var pause bool
	cmd := &cobra.Command{
		Use:   "commit [OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
		Short: "Make an image of a container",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				opts.Ref = args[1]
			}
			opts.NoPause = !pause
			s, c, err := app.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer s.close()
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			img, err := e.Commit(cmd.Context(), c.ID, opts)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(app.Stdout, img.ID)
			return err
		},
	}
	cmd.Flags().StringVarP(&opts.Author, "author", "a", "", "Who made it")
	cmd.Flags().StringVarP(&opts.Message, "message", "m", "", "What for")
	cmd.Flags().StringArrayVarP(&opts.Changes, "change", "c", nil, "A Dockerfile instruction for the image's configuration (repeatable)")
	cmd.Flags().BoolVarP(&pause, "pause", "p", true, "Freeze the container meanwhile")
	return cmd
}
