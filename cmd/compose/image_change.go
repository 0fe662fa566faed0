package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"compose/engine"
	"compose/engine/image"
)

// openEngine opens the engine of this installation.
func (app *App) openEngine() (*engine.Engine, error) {
	r, err := app.roots()
	if err != nil {
		return nil, err
	}
	return engine.Open(r)
}

func newImagePullCommand(app *App) *cobra.Command {
	var quiet bool
	var platform string
	cmd := &cobra.Command{
		Use:   "pull [OPTIONS] NAME[:TAG|@DIGEST]",
		Short: "Pull an image from a registry",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			ref, err := image.ParseReference(args[0])
			if err != nil {
				return err
			}
			opts := image.PullOptions{Platform: platform}
			if !quiet {
				opts.Progress = func(p image.Progress) {
					if p.Status != "Downloading" && p.Status != "Extracting" {
						fmt.Fprintf(app.Stdout, "%s: %s\n", p.Layer, p.Status)
					}
				}
			}
			img, err := e.Images().Pull(cmd.Context(), args[0], opts)
			if err != nil {
				return err
			}
			if !quiet && len(img.RepoDigests) > 0 {
				fmt.Fprintf(app.Stdout, "Digest: %s\n", img.RepoDigests[0])
			}
			fmt.Fprintln(app.Stdout, ref)
			return nil
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Do not show progress")
	cmd.Flags().StringVar(&platform, "platform", "", "The platform of the image, as os/architecture")
	return cmd
}

func newImageRmCommand(app *App) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "rm [OPTIONS] IMAGE [IMAGE...]",
		Aliases: []string{"remove"},
		Short:   "Remove images",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			var failed error
			for _, ref := range args {
				done, err := e.Images().Remove(cmd.Context(), ref, image.RemoveOptions{Force: force, InUse: func(id string) []string {
					users, err := e.ImageUsers(cmd.Context(), id)
					if err != nil {
						return []string{err.Error()}
					}
					return users
				}})
				failed = errors.Join(failed, err)
				for _, d := range done {
					if d.Untagged != "" {
						fmt.Fprintln(app.Stdout, "Untagged:", d.Untagged)
					} else {
						fmt.Fprintln(app.Stdout, "Deleted:", d.Deleted)
					}
				}
			}
			return failed
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Take the names away from an image in use")
	return cmd
}

func newImageTagCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "tag SOURCE TARGET",
		Short: "Give an image one more name",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			return e.Images().Tag(cmd.Context(), args[0], args[1])
		},
	}
}
