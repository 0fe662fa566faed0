package main

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/orchestrator"
)

func newBuildCommand(app *App) *cobra.Command {
	var opts orchestrator.BuildOptions
	var args []string
	var progress string
	var withDependencies bool
	cmd := &cobra.Command{
		Use:   "build [OPTIONS] [SERVICE...]",
		Short: "Build or rebuild services",
		RunE: func(cmd *cobra.Command, services []string) error {
			opts.Args = types.MappingWithEquals{}
			for _, arg := range args {
				key, value, ok := strings.Cut(arg, "=")
				opts.Args[key] = nil
				if ok {
					opts.Args[key] = &value
				}
			}
			if progress != "" {
				app.Progress = progress
			}
			if opts.Quiet {
				app.Progress = render.ModeQuiet
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
			if withDependencies {
				services = nil
			}
			return s.Build(cmd.Context(), p.Project, services, opts)
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&args, "build-arg", nil, "Set a build-time variable of the services")
	fl.BoolVar(&opts.NoCache, "no-cache", false, "Do not use the cache")
	fl.BoolVar(&opts.Pull, "pull", false, "Always look for a newer version of the base images")
	fl.BoolVarP(&opts.Quiet, "quiet", "q", false, "Do not show how the build goes on")
	fl.StringVar(&progress, "progress", "", `How progress is shown: "auto", "tty", "plain" or "quiet"`)
	fl.BoolVar(&withDependencies, "with-dependencies", false, "Also build the services that these depend on")
	return cmd
}
