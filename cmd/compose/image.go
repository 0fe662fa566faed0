package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"compose/engine"
	"compose/engine/image"
)

func newImageCommand(app *App) *cobra.Command {
	return app.group(&cobra.Command{Use: "image COMMAND", Short: "Manage images"}, func() []*cobra.Command {
		return []*cobra.Command{
			newImageBuildCommand(app), newImagePushCommand(app), newImageSaveCommand(app), newImageLoadCommand(app),
			newImageHistoryCommand(app), newImageInspectCommand(app), newImagePruneCommand(app), newImageImportCommand(app),
			newImageLsCommand(app), newImagePullCommand(app), newImageRmCommand(app), newImageTagCommand(app),
		}
	})
}

func newImageImportCommand(app *App) *cobra.Command {
	var opts image.ImportOptions
	cmd := &cobra.Command{
		Use:   "import [OPTIONS] FILE|- [NAME[:TAG]]",
		Short: "Make an image of a tar of its file tree",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := app.roots()
			if err != nil {
				return err
			}
			e, err := engine.Open(r)
			if err != nil {
				return err
			}
			var in io.Reader = app.Stdin
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			img, err := e.Images().Import(cmd.Context(), in, append(args, "")[1], opts)
			if err != nil {
				return err
			}
			fmt.Fprintln(app.Stdout, img.ID)
			return nil
		},
	}
	cmd.Flags().StringArrayVarP(&opts.Changes, "change", "c", nil, "A Dockerfile instruction for the image's configuration (repeatable)")
	cmd.Flags().StringVar(&opts.Platform, "platform", "", "The platform of the image, as os/architecture")
	cmd.Flags().StringVarP(&opts.Message, "message", "m", "", "A message for the image's history")
	return cmd
}
