package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newContainerAttachCommand(app *App) *cobra.Command {
	f := &attachFlags{}
	cmd := &cobra.Command{
		Use:   "attach [OPTIONS] CONTAINER",
		Short: "Connect to the streams of a container that runs",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, c, err := app.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer s.close()
			if !c.Running() {
				return fmt.Errorf("cannot attach to a container that does not run: start %s first", c.Name())
			}
			return f.attach(cmd.Context(), s, c)
		},
	}
	f.register(cmd.Flags())
	return cmd
}
