package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/engine/image"
)

// imageRow is a name of an image as `image ls` prints it.
type imageRow struct {
	Containers, CreatedAt, CreatedSince, Digest, ID, Repository, SharedSize, Size, Tag, UniqueSize string
}

var imageColumns = render.Columns{
	"Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "ID": "IMAGE ID", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT",
	"Size": "SIZE", "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE", "Containers": "CONTAINERS",
}

func newImageLsCommand(app *App) *cobra.Command {
	var quiet, noTrunc, digests bool
	var format string
	var words *[]string
	cmd := &cobra.Command{
		Use:     "ls [OPTIONS] [REPOSITORY[:TAG]]",
		Aliases: []string{"list"},
		Short:   "List images",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			want, err := parseFilters(*words, "dangling", "label", "before", "since", "until", "reference")
			if err != nil {
				return err
			}
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			list, err := want.images(cmd.Context(), e.Images())
			if err != nil {
				return err
			}
			patterns := append(slices.Clone(want["reference"]), args...)
			var rows []*imageRow
			for _, img := range list {
				for _, row := range imageRows(img, noTrunc, digests || strings.Contains(format, ".Digest") || format == "json") {
					ok, err := row.matches(patterns)
					if err != nil {
						return err
					}
					if ok {
						rows = append(rows, row)
					}
				}
			}
			if quiet {
				return printIDs(app, rows)
			}
			if format == "" || format == "table" {
				format = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
				if digests {
					format = "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
				}
			}
			return render.Rows(app.Stdout, format, imageColumns, rows)
		},
	}
	words = filterFlag(cmd)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only IDs")
	cmd.Flags().BoolVar(&noTrunc, "no-trunc", false, "Do not cut IDs short")
	cmd.Flags().BoolVar(&digests, "digests", false, "Show the digests of manifests")
	cmd.Flags().BoolP("all", "a", false, "Accepted for compatibility: there are no images of intermediate steps")
	cmd.Flags().StringVar(&format, "format", "", `"table", "json" or a Go template`)
	return cmd
}

// images lists the images that the filters let pass, whatever their names.
func (f filters) images(ctx context.Context, store *image.Store) ([]*image.Image, error) {
	list, err := store.List(ctx)
	if err != nil {
		return nil, err
	}
	for key, newer := range map[string]bool{"since": true, "before": false} {
		for _, ref := range f[key] {
			mark, err := store.Get(ctx, ref)
			if err != nil {
				return nil, err
			}
			list = slices.DeleteFunc(list, func(img *image.Image) bool {
				if newer {
					return !img.Created.After(mark.Created)
				}
				return !img.Created.Before(mark.Created)
			})
		}
	}
	var out []*image.Image
	for _, img := range list {
		old, err := f.until(img.Created)
		if err != nil {
			return nil, err
		}
		dangling := f.any("dangling", func(v string) bool { return (v == "true" || v == "1") == (len(img.RepoTags) == 0) })
		if old && dangling && f.labels(img.Config.Config.Labels) {
			out = append(out, img)
		}
	}
	return out, nil
}

// imageRows are a row for each name of an image.
func imageRows(img *image.Image, noTrunc, digests bool) []*imageRow {
	id := img.ID
	if !noTrunc {
		id = strings.TrimPrefix(id, "sha256:")[:12]
	}
	row := imageRow{
		ID: id, Containers: "N/A", SharedSize: "N/A", UniqueSize: "N/A", Digest: "<none>", Repository: "<none>", Tag: "<none>",
		CreatedAt: img.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"), CreatedSince: units.HumanDuration(time.Since(img.Created)) + " ago",
		Size: render.Size(img.Size),
	}
	known := map[string][]string{}
	for _, d := range img.RepoDigests {
		if repository, digest, ok := strings.Cut(d, "@"); ok {
			known[repository] = append(known[repository], digest)
		}
	}
	var rows []*imageRow
	tagged := map[string]bool{}
	for _, name := range img.RepoTags {
		colon := strings.LastIndexByte(name, ':')
		r := row
		r.Repository, r.Tag = name[:colon], name[colon+1:]
		tagged[r.Repository] = true
		if !digests || len(known[r.Repository]) == 0 {
			rows = append(rows, &r)
			continue
		}
		for _, d := range known[r.Repository] {
			one := r
			one.Digest = d
			rows = append(rows, &one)
		}
	}
	for repository, list := range known {
		for _, d := range list {
			if !tagged[repository] && (digests || len(img.RepoTags) == 0) {
				r := row
				r.Repository, r.Digest = repository, d
				rows = append(rows, &r)
			}
		}
	}
	if len(rows) == 0 {
		rows = append(rows, &row)
	}
	return rows
}

// matches says whether a row's name fits one of the patterns, or there is none.
func (r *imageRow) matches(patterns []string) (bool, error) {
	if len(patterns) == 0 {
		return true, nil
	}
	name := r.Repository
	if r.Tag != "<none>" {
		name += ":" + r.Tag
	}
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return false, nil // it has no name
	}
	for _, p := range patterns {
		ok, err := reference.FamiliarMatch(p, ref)
		if err != nil {
			return false, fmt.Errorf("pattern %q: %w", p, err)
		}
		if ok {
			return true, nil
		}
	}
	return false, nil
}

func printIDs(app *App, rows []*imageRow) error {
	var last string
	for _, r := range rows {
		if r.ID != last {
			if _, err := fmt.Fprintln(app.Stdout, r.ID); err != nil {
				return err
			}
		}
		last = r.ID
	}
	return nil
}
