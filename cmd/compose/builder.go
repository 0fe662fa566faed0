package main

import (
	"fmt"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/engine"
	"compose/engine/build"
)

func newBuilderCommand(app *App) *cobra.Command {
	return app.group(&cobra.Command{Use: "builder COMMAND", Short: "Manage builds"}, func() []*cobra.Command {
		return []*cobra.Command{
			newBuilderPruneCommand(app), newImageBuildCommand(app),
		}
	})
}

func newBuilderPruneCommand(app *App) *cobra.Command {
	var force, all bool
	var words []string
	var keep string
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove the build cache",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			want, err := parseFilters(words, "until", "unused-for")
			if err != nil {
				return err
			}
			want["until"] = append(want["until"], want["unused-for"]...)
			if !force {
				what := "dangling build cache"
				if all {
					what = "all build cache"
				}
				fmt.Fprintf(app.Stdout, "WARNING! This will remove %s.\n", what)
				if ok, err := confirm(app, "Are you sure you want to continue?"); !ok || err != nil {
					return err
				}
			}
			limit := int64(0)
			if keep != "" {
				if limit, err = units.RAMInBytes(keep); err != nil {
					return fmt.Errorf("invalid argument %q for --keep-storage", keep)
				}
			}
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			removed, err := app.pruneBuilds(e, all, limit, want)
			var freed int64
			for _, r := range removed {
				fmt.Fprintf(app.Stdout, "%s\t%s\n", r.ID, render.Size(r.Size))
				freed += r.Size
			}
			fmt.Fprintf(app.Stdout, "Total:\t%s\n", render.Size(freed))
			return err
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Do not ask")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "Also cache mounts, repositories and downloads")
	cmd.Flags().StringArrayVar(&words, "filter", nil, "Only some, as until=24h (repeatable)")
	cmd.Flags().StringVar(&keep, "keep-storage", "", "Keep so much of the cache")
	return cmd
}

// pruneBuilds removes what builds keep, the oldest first, until no more than
// keep bytes are left.
func (app *App) pruneBuilds(e *engine.Engine, all bool, keep int64, want filters) ([]build.CacheEntry, error) {
	builder := e.Builder()
	list, err := builder.Cache()
	if err != nil {
		return nil, err
	}
	var total int64
	for _, c := range list {
		total += c.Size
	}
	var failed error
	removed, busy, err := builder.Prune(all, func(c build.CacheEntry) bool {
		old, err := want.until(c.Used)
		if err != nil {
			failed = err
		}
		if !old || keep > 0 && total <= keep {
			return false
		}
		total -= c.Size
		return true
	})
	if busy {
		app.warn("a pull or a build is under way: what it may need is left for the next prune")
	}
	if failed != nil {
		err = failed
	}
	return removed, err
}

// cacheAge is when a cache entry was used last, for people.
func cacheAge(c build.CacheEntry) string { return units.HumanDuration(time.Since(c.Used)) + " ago" }
