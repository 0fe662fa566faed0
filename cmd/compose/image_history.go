package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/engine/image"
)

// historyRow is a step of an image's making as `image history` prints it.
type historyRow struct {
	ID, CreatedAt, CreatedSince, CreatedBy, Size, Comment string
}

func newImageHistoryCommand(app *App) *cobra.Command {
	var quiet, noTrunc, human bool
	var format string
	var platform *string
	cmd := &cobra.Command{
		Use:   "history [OPTIONS] IMAGE",
		Short: "Show how an image was made",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			if err := ofPlatform(cmd.Context(), e.Images(), *platform, args[0]); err != nil {
				return err
			}
			img, err := e.Images().Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			rows := historyRows(img, noTrunc, human)
			if quiet {
				for _, r := range rows {
					fmt.Fprintln(app.Stdout, r.ID)
				}
				return nil
			}
			if format == "" || format == "table" {
				created := "{{.CreatedSince}}"
				if !human {
					created = "{{.CreatedAt}}"
				}
				format = "table {{.ID}}\t" + created + "\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
			}
			return render.Rows(app.Stdout, format, render.Columns{
				"ID": "IMAGE", "CreatedAt": "CREATED AT", "CreatedSince": "CREATED", "CreatedBy": "CREATED BY", "Size": "SIZE", "Comment": "COMMENT",
			}, rows)
		},
	}
	platform = platformFlag(cmd)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only IDs")
	cmd.Flags().BoolVar(&noTrunc, "no-trunc", false, "Do not cut long values short")
	cmd.Flags().BoolVarP(&human, "human", "H", true, "Sizes and dates for people")
	cmd.Flags().StringVar(&format, "format", "", `"table", "json", "table TEMPLATE" or a Go template`)
	return cmd
}

// historyRows are the steps, the last first. Only the image itself has an ID.
func historyRows(img *image.Image, noTrunc, human bool) []*historyRow {
	var rows []*historyRow
	layer := 0
	for _, h := range img.Config.History {
		r := &historyRow{ID: "<missing>", CreatedBy: strings.ReplaceAll(h.CreatedBy, "\t", " "), Comment: h.Comment}
		if h.Created != nil {
			r.CreatedAt, r.CreatedSince = h.Created.Local().Format(time.RFC3339), units.HumanDuration(time.Since(*h.Created))+" ago"
		}
		size := int64(0)
		if !h.EmptyLayer && layer < len(img.Layers) {
			size = img.Layers[layer].Size
			layer++
		}
		if r.Size = fmt.Sprint(size); human {
			r.Size = render.Size(size)
		}
		if by := []rune(r.CreatedBy); !noTrunc && len(by) > 45 {
			r.CreatedBy = string(by[:44]) + "…"
		}
		rows = append([]*historyRow{r}, rows...)
	}
	if len(rows) > 0 {
		if rows[0].ID = img.ID; !noTrunc {
			rows[0].ID = strings.TrimPrefix(img.ID, "sha256:")[:12]
		}
	}
	return rows
}
