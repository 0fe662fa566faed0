package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newEventsCommand(app *App) *cobra.Command {
	var asJSON bool
	var between timeRange
	cmd := &cobra.Command{
		Use:   "events [OPTIONS] [SERVICE...]",
		Short: "Show what happens to the containers of a project",
		RunE: func(cmd *cobra.Command, services []string) error {
			return app.steer(cmd, services, func(ctx context.Context, s *session, sel orchestrator.Selection) error {
				from, to, err := between.times()
				if err != nil {
					return err
				}
				return s.Events(ctx, sel, from, to, func(e orchestrator.ContainerEvent) error { return app.printEvent(e, asJSON) })
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print each as a JSON object")
	cmd.Flags().StringVar(&between.since, "since", "", "Begin with what has happened since this time, as far as it is remembered")
	cmd.Flags().StringVar(&between.until, "until", "", "End at this time")
	return cmd
}

func (app *App) printEvent(e orchestrator.ContainerEvent, asJSON bool) error {
	if asJSON {
		line, err := json.Marshal(map[string]any{
			"time": e.Time.Local(), "type": "container", "service": e.Service, "id": e.ID, "action": e.Action, "attributes": e.Attributes,
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(app.Stdout, string(line))
		return err
	}
	// An empty line after each, as Docker Compose has it.
	_, err := fmt.Fprintf(app.Stdout, "%s container %s %s (%s)\n\n", e.Time.Local().Format("2006-01-02 15:04:05.000000"), e.Action, e.ID, strings.Join(attributeWords(e.Attributes), ", "))
	return err
}
