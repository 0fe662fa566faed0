package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"compose/engine/image"
)

func newImageSaveCommand(app *App) *cobra.Command {
	var output string
	var platform *string
	cmd := &cobra.Command{
		Use:   "save [OPTIONS] IMAGE [IMAGE...]",
		Short: "Write images to a tar archive",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, refs []string) error {
			if output == "" && term.IsTerminal(int(app.Stdout.Fd())) {
				return errors.New("cowardly refusing to save to a terminal. Use the -o flag or redirect")
			}
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			if err := ofPlatform(cmd.Context(), e.Images(), *platform, refs...); err != nil {
				return err
			}
			return writeTo(app, output, func(w io.Writer) error { return e.Images().Save(cmd.Context(), refs, w) })
		},
	}
	platform = platformFlag(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "The file to write, in the place of standard output")
	return cmd
}

func newImageLoadCommand(app *App) *cobra.Command {
	var input string
	var quiet bool
	var opts image.LoadOptions
	cmd := &cobra.Command{
		Use:   "load [OPTIONS]",
		Short: "Take images out of a tar archive",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var in io.Reader = app.Stdin
			if input != "" {
				f, err := os.Open(input)
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			} else if term.IsTerminal(int(app.Stdin.Fd())) {
				return errors.New("requested load from stdin, but stdin is empty")
			}
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			list, err := e.Images().Load(cmd.Context(), in, opts)
			for _, img := range list {
				if len(img.LoadedTags) == 0 {
					fmt.Fprintln(app.Stdout, "Loaded image ID:", img.ID)
				}
				for _, tag := range img.LoadedTags {
					fmt.Fprintln(app.Stdout, "Loaded image:", tag)
				}
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&input, "input", "i", "", "The file to read, in the place of standard input")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Accepted for compatibility")
	cmd.Flags().StringVar(&opts.Platform, "platform", "", "The platform of the images, as os/architecture")
	return cmd
}
