package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newContainerCreateCommand(app *App) *cobra.Command {
	f := &containerFlags{}
	cmd := &cobra.Command{
		Use:   "create [OPTIONS] IMAGE [COMMAND] [ARG...]",
		Short: "Create a container of an image",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, c, err := app.createStandalone(cmd, f, args)
			if err != nil {
				return err
			}
			s.close()
			_, err = fmt.Fprintln(app.Stdout, c.ID)
			return err
		},
	}
	f.register(cmd)
	return cmd
}
