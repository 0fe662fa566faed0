package main

import (
	"context"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newPauseCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "pause [SERVICE...]",
		Short: "Freeze the processes of containers",
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.steer(cmd, args, func(ctx context.Context, s *session, sel orchestrator.Selection) error {
				return s.Pause(ctx, sel)
			})
		},
	}
}
