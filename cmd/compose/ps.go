package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/orchestrator"
)

func newPsCommand(app *App) *cobra.Command {
	var all, quiet, services, noTrunc, orphans bool
	var format, filter string
	var statuses []string
	cmd := &cobra.Command{
		Use:   "ps [OPTIONS] [SERVICE...]",
		Short: "List containers",
		RunE: func(cmd *cobra.Command, args []string) error {
			if filter != "" {
				key, value, ok := strings.Cut(filter, "=")
				if !ok {
					return fmt.Errorf("arguments to --filter should be in form KEY=VAL")
				}
				if key != "status" {
					return fmt.Errorf("unknown filter %s", key)
				}
				statuses = append(statuses, value)
			}
			sel, err := app.psSelection(cmd.Context(), args, orphans)
			if err != nil {
				return err
			}
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			list, err := s.Ps(cmd.Context(), sel, orchestrator.PsOptions{All: all || len(statuses) > 0, Orphans: orphans})
			if err != nil {
				return err
			}
			if len(statuses) > 0 {
				list = slices.DeleteFunc(list, func(c *orchestrator.Container) bool {
					return !slices.Contains(statuses, string(c.State.Status))
				})
			}
			switch {
			case quiet:
				for _, c := range list {
					fmt.Fprintln(app.Stdout, c.ID)
				}
				return nil
			case services:
				return printServices(app, list)
			}
			now := time.Now()
			rows := make([]*render.ContainerRow, len(list))
			for i, c := range list {
				rows[i] = render.NewContainerRow(c, now, !noTrunc)
			}
			return render.Containers(app.Stdout, format, rows)
		},
	}
	fl := cmd.Flags()
	fl.BoolVarP(&all, "all", "a", false, "Also containers that do not run, and one-off ones")
	fl.BoolVarP(&quiet, "quiet", "q", false, "Only IDs")
	fl.BoolVar(&services, "services", false, "Only the names of services")
	fl.BoolVar(&noTrunc, "no-trunc", false, "Do not cut long values short")
	fl.BoolVar(&orphans, "orphans", true, "Also services that the file does not have")
	fl.StringVar(&format, "format", "", `"table", "json" or a Go template`)
	fl.StringVar(&filter, "filter", "", "Only containers with a property, as status=running")
	fl.StringArrayVar(&statuses, "status", nil, "Only containers in this state: paused, restarting, removing, running, dead, created or exited (repeatable)")
	return cmd
}

// psSelection needs the file only to know one service from another: whatever
// carries the project's label is listed otherwise.
func (app *App) psSelection(ctx context.Context, services []string, orphans bool) (orchestrator.Selection, error) {
	if len(services) > 0 || !orphans {
		return app.selection(ctx, services)
	}
	name, err := app.projectName()
	return orchestrator.Selection{Name: name}, err
}

func printServices(app *App, list []*orchestrator.Container) error {
	var names []string
	for _, c := range list {
		if !slices.Contains(names, c.Service) {
			names = append(names, c.Service)
		}
	}
	_, err := fmt.Fprintln(app.Stdout, strings.Join(names, "\n"))
	return err
}
