package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/engine"
	"compose/engine/image"
)

func newImageCommand(app *App) *cobra.Command {
	cmd := &cobra.Command{Use: "image COMMAND", Short: "Manage images"}
	cmd.AddCommand(newImageImportCommand(app), newImageLsCommand(app), newImagePullCommand(app), newImageRmCommand(app), newImageTagCommand(app))
	return cmd
}

func newImageImportCommand(app *App) *cobra.Command {
	var opts image.ImportOptions
	cmd := &cobra.Command{
		Use:   "import [OPTIONS] FILE|- NAME[:TAG]",
		Short: "Make an image of a tar of its file tree",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := app.roots()
			if err != nil {
				return err
			}
			e, err := engine.Open(r)
			if err != nil {
				return err
			}
			var in io.Reader = app.Stdin
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			img, err := e.Images().Import(cmd.Context(), in, args[1], opts)
			if err != nil {
				return err
			}
			fmt.Fprintln(app.Stdout, img.ID)
			return nil
		},
	}
	cmd.Flags().StringArrayVarP(&opts.Changes, "change", "c", nil, "A Dockerfile instruction for the image's configuration (repeatable)")
	cmd.Flags().StringVarP(&opts.Message, "message", "m", "", "A message for the image's history")
	return cmd
}

// imageRow is a name of an image as `image ls` prints it.
type imageRow struct {
	Repository, Tag, ID, CreatedSince, Size string
}

func newImageLsCommand(app *App) *cobra.Command {
	var quiet, noTrunc bool
	var format string
	cmd := &cobra.Command{
		Use:     "ls [OPTIONS] [NAME[:TAG]]",
		Aliases: []string{"list"},
		Short:   "List images",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := app.roots()
			if err != nil {
				return err
			}
			e, err := engine.Open(r)
			if err != nil {
				return err
			}
			list, err := e.Images().List(cmd.Context())
			if err != nil {
				return err
			}
			var rows []*imageRow
			for _, img := range list {
				rows = append(rows, imageRows(img, args, noTrunc)...)
			}
			if quiet {
				var last string
				for _, row := range rows {
					if row.ID != last {
						fmt.Fprintln(app.Stdout, row.ID)
					}
					last = row.ID
				}
				return nil
			}
			if format == "" || format == "table" {
				format = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
			}
			return render.Rows(app.Stdout, format, render.Columns{
				"Repository": "REPOSITORY", "Tag": "TAG", "ID": "IMAGE ID", "CreatedSince": "CREATED", "Size": "SIZE",
			}, rows)
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only IDs")
	cmd.Flags().BoolVar(&noTrunc, "no-trunc", false, "Do not cut IDs short")
	cmd.Flags().StringVar(&format, "format", "", `"table", "json" or a Go template`)
	return cmd
}

// imageRows are a row for each name of the image that is asked for.
func imageRows(img *image.Image, want []string, noTrunc bool) []*imageRow {
	id := img.ID
	if !noTrunc {
		id = strings.TrimPrefix(id, "sha256:")[:12]
	}
	tags := img.RepoTags
	if len(tags) == 0 {
		tags = []string{"<none>:<none>"}
	}
	var rows []*imageRow
	for _, name := range tags {
		colon := strings.LastIndexByte(name, ':')
		repository, tag := name[:colon], name[colon+1:]
		if len(want) > 0 && want[0] != repository && want[0] != name {
			continue
		}
		rows = append(rows, &imageRow{
			Repository: repository, Tag: tag, ID: id,
			CreatedSince: units.HumanDuration(time.Since(img.Created)) + " ago",
			Size:         units.HumanSizeWithPrecision(float64(img.Size), 3),
		})
	}
	return rows
}
