package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newContainerTopCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "top CONTAINER",
		Short: "Show the processes of a container",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, c, err := app.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer s.close()
			if !c.Running() {
				return fmt.Errorf("container %s is not running", c.ID)
			}
			return app.processes(cmd.Context(), s, c)
		},
	}
}
