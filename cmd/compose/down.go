package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"compose/orchestrator"
)

func newDownCommand(app *App) *cobra.Command {
	var opts orchestrator.DownOptions
	var timeout int
	cmd := &cobra.Command{
		Use:   "down [OPTIONS] [SERVICE...]",
		Short: "Stop and remove containers and networks",
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.Images != "" && opts.Images != "all" && opts.Images != "local" {
				return fmt.Errorf(`invalid value for --rmi: %q (legal values are "local", "all")`, opts.Images)
			}
			if !cmd.Flags().Changed("remove-orphans") {
				opts.RemoveOrphans = envBool("COMPOSE_REMOVE_ORPHANS")
			}
			opts.Services = args
			opts.Timeout = seconds(timeout, cmd.Flags().Changed("timeout"))
			app.openAhead()
			sel, err := app.selection(cmd.Context(), args)
			if err != nil {
				return err
			}
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			return s.Down(cmd.Context(), sel.Name, sel.Project, opts)
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&opts.RemoveOrphans, "remove-orphans", false, "Remove containers of services that the file does not have too")
	fl.IntVarP(&timeout, "timeout", "t", 0, "Seconds a container gets to end before it is killed")
	fl.BoolVarP(&opts.Volumes, "volumes", "v", false, "Remove the project's named volumes and the containers' anonymous ones too")
	fl.StringVar(&opts.Images, "rmi", "", `Remove the services' images too: "all", or "local" for those without a name of their own`)
	fl.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "volume" {
			name = "volumes"
		}
		return pflag.NormalizedName(name)
	})
	return cmd
}
