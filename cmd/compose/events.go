package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newEventsCommand(app *App) *cobra.Command {
	var asJSON bool
	var since, until string
	cmd := &cobra.Command{
		Use:   "events [OPTIONS] [SERVICE...]",
		Short: "Show what happens to the containers of a project",
		RunE: func(cmd *cobra.Command, services []string) error {
			return app.steer(cmd, services, func(ctx context.Context, s *session, sel orchestrator.Selection) error {
				now := time.Now()
				from, err := parseTime(since, now)
				if err != nil {
					return fmt.Errorf("--since: %w", err)
				}
				to, err := parseTime(until, now)
				if err != nil {
					return fmt.Errorf("--until: %w", err)
				}
				return s.Events(ctx, sel, from, to, func(e orchestrator.ContainerEvent) error { return app.printEvent(e, asJSON) })
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print each as a JSON object")
	cmd.Flags().StringVar(&since, "since", "", "Begin with what happened at this time, as far as it is remembered")
	cmd.Flags().StringVar(&until, "until", "", "End at this time")
	return cmd
}

func (app *App) printEvent(e orchestrator.ContainerEvent, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(app.Stdout).Encode(struct {
			Time       time.Time         `json:"time"`
			Type       string            `json:"type"`
			Service    string            `json:"service"`
			ID         string            `json:"id"`
			Action     string            `json:"action"`
			Attributes map[string]string `json:"attributes"`
		}{e.Time, "container", e.Service, e.ID, e.Action, e.Attributes})
	}
	var list []string
	for _, k := range slices.Sorted(maps.Keys(e.Attributes)) {
		list = append(list, k+"="+e.Attributes[k])
	}
	_, err := fmt.Fprintf(app.Stdout, "%s container %s %s (%s)\n", e.Time.Local().Format("2006-01-02 15:04:05.000000"), e.Action, e.ID, strings.Join(list, ", "))
	return err
}
