package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newScaleCommand(app *App) *cobra.Command {
	f := &upFlags{detach: true}
	cmd := &cobra.Command{
		Use:   "scale [OPTIONS] SERVICE=REPLICAS...",
		Short: "Change how many containers services have",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var services []string
			for _, arg := range args {
				name, _, ok := strings.Cut(arg, "=")
				if !ok {
					return fmt.Errorf("invalid scale specifier: %s", arg)
				}
				services = append(services, name)
			}
			f.scale = args
			f.changed(cmd)
			return runUp(cmd, app, f, services)
		},
	}
	cmd.Flags().BoolVar(&f.noDeps, "no-deps", false, "Leave out the services that the named ones depend on")
	return cmd
}
