package main

import (
	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newPushCommand(app *App) *cobra.Command {
	var opts orchestrator.PushOptions
	var includeDeps bool
	cmd := &cobra.Command{
		Use:   "push [OPTIONS] [SERVICE...]",
		Short: "Push the images that services are built as",
		RunE: func(cmd *cobra.Command, services []string) error {
			p, err := app.load(cmd.Context(), services)
			if err != nil {
				return err
			}
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			if includeDeps {
				services = nil
			}
			return s.Push(cmd.Context(), p.Project, services, opts)
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&opts.IgnoreFailures, "ignore-push-failures", false, "Push what can be pushed")
	fl.BoolVar(&includeDeps, "include-deps", false, "Also push the services that these depend on")
	fl.BoolVarP(&opts.Quiet, "quiet", "q", false, "Do not show progress")
	return cmd
}
