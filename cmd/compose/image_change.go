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

func newImageRmCommand(app *App) *cobra.Command {
	var force bool
	var platform *string
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
			if err := ofPlatform(cmd.Context(), e.Images(), *platform, args...); err != nil {
				return err
			}
			var failed error
			for _, ref := range args {
				done, err := e.Images().Remove(cmd.Context(), ref, image.RemoveOptions{Force: force, InUse: imageUsers(cmd.Context(), e)})
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
	platform = platformFlag(cmd)
	cmd.Flags().Bool("no-prune", false, "Accepted for compatibility: there are no parents without names")
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
