package main

import (
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newWatchCommand(app *App) *cobra.Command {
	var quiet, prune, noUp bool
	cmd := &cobra.Command{
		Use:   "watch [OPTIONS] [SERVICE...]",
		Short: "Copy files into containers, or rebuild them, as the files change",
		RunE: func(cmd *cobra.Command, services []string) error {
			ctx := cmd.Context()
			p, err := app.selectedProject(ctx, services, false)
			if err != nil {
				return err
			}
			s, err := app.session(ctx)
			if err != nil {
				return err
			}
			defer s.close()
			opts := orchestrator.WatchOptions{
				Services: services, Prune: prune, Build: orchestrator.BuildOptions{Quiet: quiet}, Sink: s.logs(true, true, false),
			}
			if quiet {
				s.BuildProgress = nil
			}
			if err := s.CheckWatch(p, services); err != nil {
				return err
			}
			if !noUp {
				up := changeServices(p, func(s *types.ServiceConfig) {
					if s.Build != nil && s.Develop != nil {
						s.PullPolicy = types.PullPolicyBuild
					}
				})
				o := orchestrator.UpOptions{Images: orchestrator.ImageOptions{QuietPull: quiet, Build: opts.Build}}
				o.Services, o.RecreateDeps, o.IgnoreOrphans = services, orchestrator.RecreateNever, ignoresOrphans(p)
				if err := s.Up(ctx, up, o); err != nil {
					return err
				}
			}
			if app.DryRun {
				return nil
			}
			s.attached()
			return s.Watch(ctx, p, opts)
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&quiet, "quiet", false, "Do not show the output of builds")
	fl.BoolVar(&prune, "prune", true, "Remove the images that a rebuild leaves without a name")
	fl.BoolVar(&noUp, "no-up", false, "Do not build and start the services first")
	return cmd
}
