package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
)

func newSystemPruneCommand(app *App) *cobra.Command {
	var force, all, volumes bool
	var words []string
	cmd := &cobra.Command{
		Use:   "prune [OPTIONS]",
		Short: "Remove what nothing uses",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			want, err := parseFilters(words, "until", "label", "label!")
			if err != nil {
				return err
			}
			if !force {
				fmt.Fprint(app.Stdout, pruneWarning(all, volumes))
				if ok, err := confirm(app, "Are you sure you want to continue?"); !ok || err != nil {
					return err
				}
			}
			return app.pruneSystem(cmd, all, volumes, want)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Do not ask")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "Also images that have names, and all of the build cache")
	cmd.Flags().BoolVar(&volumes, "volumes", false, "Also anonymous volumes")
	cmd.Flags().StringArrayVar(&words, "filter", nil, "Only some, as until=24h or label=KEY=VALUE (repeatable)")
	return cmd
}

func pruneWarning(all, volumes bool) string {
	text := "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n"
	if volumes {
		text += "  - all anonymous volumes not used by at least one container\n"
	}
	if all {
		return text + "  - all images without at least one container associated to them\n  - all build cache\n\n"
	}
	return text + "  - all dangling images\n  - unused build cache\n\n"
}

// pruneSystem removes one kind after the other: what one lets go of, the next
// can take.
func (app *App) pruneSystem(cmd *cobra.Command, all, volumes bool, want filters) error {
	ctx := cmd.Context()
	s, err := app.session(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	e, err := app.openEngine()
	if err != nil {
		return err
	}
	names, total, err := s.pruneContainers(cmd, want)
	app.deleted("Containers", names)
	if err != nil {
		return err
	}
	names, err = pruneNetworks(ctx, e, want)
	app.deleted("Networks", names)
	if err != nil {
		return err
	}
	if volumes {
		names, freed, err := pruneVolumes(cmd, e, false, want)
		app.deleted("Volumes", names)
		if total += freed; err != nil {
			return err
		}
	}
	names, freed, err := pruneImages(ctx, e, all, want)
	app.deleted("Images", names)
	if total += freed; err != nil {
		return err
	}
	cache, err := app.pruneBuilds(e, all, 0, filters{"until": want["until"]})
	names = nil
	for _, c := range cache {
		names = append(names, c.ID)
		total += c.Size
	}
	app.deleted("build cache objects", names)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(app.Stdout, "Total reclaimed space:", render.Size(total))
	return err
}
