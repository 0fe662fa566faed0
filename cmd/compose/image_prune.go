package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/engine"
	"compose/engine/image"
)

func newImagePruneCommand(app *App) *cobra.Command {
	var force, all bool
	var words []string
	cmd := &cobra.Command{
		Use:   "prune [OPTIONS]",
		Short: "Remove images that no container has",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			want, err := parseFilters(words, "until", "label", "label!", "dangling")
			if err != nil {
				return err
			}
			all = all || want["dangling"] != nil && !want.any("dangling", func(v string) bool { return v == "true" || v == "1" })
			if !force {
				what := "all dangling images"
				if all {
					what = "all images without at least one container associated to them"
				}
				fmt.Fprintf(app.Stdout, "WARNING! This will remove %s.\n", what)
				if ok, err := confirm(app, "Are you sure you want to continue?"); !ok || err != nil {
					return err
				}
			}
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			removed, freed, err := pruneImages(cmd.Context(), e, all, want)
			app.deleted("Images", removed)
			fmt.Fprintln(app.Stdout, "Total reclaimed space:", render.Size(freed))
			return err
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Do not ask")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "Also images that have names")
	cmd.Flags().StringArrayVar(&words, "filter", nil, "Only some, as until=24h or label=KEY=VALUE (repeatable)")
	return cmd
}

// imageUsers tells the store which containers need an image.
func imageUsers(ctx context.Context, e *engine.Engine) func(id string) []string {
	return func(id string) []string {
		users, err := e.ImageUsers(ctx, id)
		if err != nil {
			return []string{err.Error()}
		}
		return users
	}
}

// pruneImages removes images that no container has: those without a name, or
// all of them.
func pruneImages(ctx context.Context, e *engine.Engine, all bool, want filters) (removed []string, freed int64, err error) {
	list, err := e.Images().List(ctx)
	if err != nil {
		return nil, 0, err
	}
	sizes := layerSizes(list)
	for _, img := range list {
		old, err := want.until(img.Created)
		if err != nil {
			return removed, freed, err
		}
		if !all && len(img.RepoTags) > 0 || !old || !want.labels(img.Config.Config.Labels) {
			continue
		}
		done, err := e.Images().Remove(ctx, img.ID, image.RemoveOptions{InUse: imageUsers(ctx, e)})
		var used *image.InUseError
		if errors.As(err, &used) {
			continue
		}
		if err != nil {
			return removed, freed, err
		}
		for _, d := range done {
			if d.Untagged != "" {
				removed = append(removed, "untagged: "+d.Untagged)
			} else {
				removed = append(removed, "deleted: "+d.Deleted)
				freed += sizes[d.Deleted]
			}
		}
	}
	return removed, freed, nil
}

// layerSizes are the sizes of all layers of images, by chain ID.
func layerSizes(list []*image.Image) map[string]int64 {
	sizes := map[string]int64{}
	for _, img := range list {
		for _, l := range img.Layers {
			sizes[l.ChainID.String()] = l.Size
		}
	}
	return sizes
}
