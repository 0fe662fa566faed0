package main

import (
	"context"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newStopCommand(app *App) *cobra.Command {
	var timeout int
	cmd := &cobra.Command{
		Use:   "stop [OPTIONS] [SERVICE...]",
		Short: "Stop containers",
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.steer(cmd, args, func(ctx context.Context, s *session, sel orchestrator.Selection) error {
				return s.Stop(ctx, sel, seconds(timeout, cmd.Flags().Changed("timeout")))
			})
		},
	}
	cmd.Flags().IntVarP(&timeout, "timeout", "t", 0, "Seconds a container gets to end before it is killed")
	return cmd
}
