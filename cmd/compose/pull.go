package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newPullCommand(app *App) *cobra.Command {
	var opts orchestrator.PullOptions
	var includeDeps bool
	var policy string
	cmd := &cobra.Command{
		Use:   "pull [OPTIONS] [SERVICE...]",
		Short: "Pull the images of services",
		RunE: func(cmd *cobra.Command, services []string) error {
			switch policy {
			case "":
			case "always":
				opts.Always = true
			case "missing":
				opts.Missing = true
			default:
				return fmt.Errorf("invalid --policy value %q: use missing or always", policy)
			}
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
			return s.Pull(cmd.Context(), p.Project, services, opts)
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&opts.IgnoreBuildable, "ignore-buildable", false, "Leave images out that can be built")
	fl.BoolVar(&opts.IgnoreFailures, "ignore-pull-failures", false, "Pull what can be pulled")
	fl.BoolVar(&includeDeps, "include-deps", false, "Also pull the services that these depend on")
	fl.BoolVarP(&opts.Quiet, "quiet", "q", false, "Do not show progress")
	for _, name := range []string{"parallel", "no-parallel"} {
		fl.Bool(name, false, "Deprecated, no effect")
		_ = fl.MarkHidden(name) // the flag exists
	}
	fl.StringVar(&policy, "policy", "", `"missing" or "always"`)
	return cmd
}
