package main

import (
	"context"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newVolumesCommand(app *App) *cobra.Command {
	var quiet bool
	var format string
	cmd := &cobra.Command{
		Use:   "volumes [OPTIONS] [SERVICE...]",
		Short: "List the volumes of a project",
		RunE: func(cmd *cobra.Command, services []string) error {
			return app.steer(cmd, services, func(ctx context.Context, s *session, sel orchestrator.Selection) error {
				list, err := s.Ps(ctx, sel, orchestrator.PsOptions{All: true})
				if err != nil {
					return err
				}
				used := map[string]bool{}
				for _, c := range list {
					for _, m := range c.Spec.Mounts {
						used[m.Source] = used[m.Source] || m.Type == "volume"
					}
				}
				e, err := app.openEngine()
				if err != nil {
					return err
				}
				all, err := e.Volumes().List()
				if err != nil {
					return err
				}
				var rows []*volumeRow
				for _, v := range all {
					if v.Labels[orchestrator.LabelProject] == sel.Name && (len(services) == 0 || used[v.Name]) {
						rows = append(rows, newVolumeRow(e, v))
					}
				}
				return app.printVolumes(rows, quiet, format)
			})
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only names")
	cmd.Flags().StringVar(&format, "format", "", `"table", "json", "table TEMPLATE" or a Go template`)
	return cmd
}
