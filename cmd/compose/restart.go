package main

import (
	"context"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newRestartCommand(app *App) *cobra.Command {
	var timeout int
	var noDeps bool
	cmd := &cobra.Command{
		Use:   "restart [OPTIONS] [SERVICE...]",
		Short: "Stop containers and start them again",
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.steer(cmd, args, func(ctx context.Context, s *session, sel orchestrator.Selection) error {
				return s.Restart(ctx, sel, seconds(timeout, cmd.Flags().Changed("timeout")), noDeps)
			})
		},
	}
	cmd.Flags().IntVarP(&timeout, "timeout", "t", 0, "Seconds a container gets to end before it is killed")
	cmd.Flags().BoolVar(&noDeps, "no-deps", false, "Leave out the services that are restarted along with the named ones")
	return cmd
}
