package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newKillCommand(app *App) *cobra.Command {
	var signal string
	var orphans bool
	cmd := &cobra.Command{
		Use:   "kill [OPTIONS] [SERVICE...]",
		Short: "Send a signal to containers",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("remove-orphans") {
				orphans = envBool("COMPOSE_REMOVE_ORPHANS")
			}
			return app.steer(cmd, args, func(ctx context.Context, s *session, sel orchestrator.Selection) error {
				err := s.Kill(ctx, sel, signal, orphans)
				if errors.Is(err, orchestrator.ErrNothing) {
					fmt.Fprintln(app.Stderr, "No container to kill")
					return nil
				}
				return err
			})
		},
	}
	cmd.Flags().StringVarP(&signal, "signal", "s", "SIGKILL", "The signal")
	cmd.Flags().BoolVar(&orphans, "remove-orphans", false, "Containers of services that the file does not have too")
	return cmd
}
