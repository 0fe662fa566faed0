package main

import (
	"context"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newUnpauseCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "unpause [SERVICE...]",
		Short: "Let the processes of paused containers go on",
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.steer(cmd, args, func(ctx context.Context, s *session, sel orchestrator.Selection) error {
				return s.Unpause(ctx, sel)
			})
		},
	}
}
