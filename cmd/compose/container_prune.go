package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
)

func newContainerPruneCommand(app *App) *cobra.Command {
	var force bool
	var words []string
	cmd := &cobra.Command{
		Use:   "prune [OPTIONS]",
		Short: "Remove all containers that do not run",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			want, err := parseFilters(words, "until", "label", "label!")
			if err != nil {
				return err
			}
			if !force {
				fmt.Fprintln(app.Stdout, "WARNING! This will remove all stopped containers.")
				if ok, err := confirm(app, "Are you sure you want to continue?"); !ok || err != nil {
					return err
				}
			}
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			removed, freed, err := s.pruneContainers(cmd, want)
			app.deleted("Containers", removed)
			fmt.Fprintln(app.Stdout, "Total reclaimed space:", render.Size(freed))
			return err
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Do not ask")
	cmd.Flags().StringArrayVar(&words, "filter", nil, "Only some, as until=24h or label=KEY=VALUE (repeatable)")
	return cmd
}

// pruneContainers removes containers that do not run, and says how many bytes
// they had written.
func (s *session) pruneContainers(cmd *cobra.Command, want filters) (removed []string, freed int64, err error) {
	ctx := cmd.Context()
	e, err := s.app.openEngine()
	if err != nil {
		return nil, 0, err
	}
	list, err := s.Everything(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, c := range list {
		old, err := want.until(c.Created)
		if err != nil {
			return removed, freed, err
		}
		if c.Running() || !old || !want.labels(c.Spec.Labels) {
			continue
		}
		written, _, err := e.Size(ctx, c.ID)
		if err != nil {
			return removed, freed, err
		}
		if err := s.RemoveOne(ctx, c, false, false); err != nil {
			return removed, freed, err
		}
		removed, freed = append(removed, c.ID), freed+written
	}
	return removed, freed, nil
}
