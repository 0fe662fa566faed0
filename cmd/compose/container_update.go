package main

import (
	"context"
	"errors"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newContainerUpdateCommand(app *App) *cobra.Command {
	f := &containerFlags{swappiness: -1}
	cmd := &cobra.Command{
		Use:   "update [OPTIONS] CONTAINER [CONTAINER...]",
		Short: "Change limits and the restart policy of containers, also of those that run",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().NFlag() == 0 {
				return errors.New("you must provide one or more flags when using this command")
			}
			s := types.ServiceConfig{Restart: f.restart}
			if err := f.fillLimits(&s); err != nil {
				return err
			}
			u, err := orchestrator.NewUpdate(s)
			if err != nil {
				return err
			}
			u.Resources.CpusetMems, u.Resources.BlkioWeight = f.cpusetMems, f.blkioWeight
			return app.eachContainer(cmd.Context(), args, func(ctx context.Context, s *session, c *orchestrator.Container) error {
				return supervise(ctx, s, c, func(sup orchestrator.Supervisor) error { return sup.Update(ctx, c.ID, u) })
			})
		},
	}
	fl := cmd.Flags()
	f.registerChangeable(fl)
	fl.StringVar(&f.restart, "restart", "", "When to restart: no, on-failure[:N], always or unless-stopped")
	return cmd
}
