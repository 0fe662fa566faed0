package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/orchestrator"
)

// containerImage is the image of a container as `images` prints it.
type containerImage struct {
	ContainerName, Repository, Tag, Platform, ID, Size, Created string
}

// imageOfContainer is the same as JSON has it.
type imageOfContainer struct {
	ID            string    `json:"ID"`
	ContainerName string    `json:"ContainerName"`
	Repository    string    `json:"Repository"`
	Tag           string    `json:"Tag"`
	Platform      string    `json:"Platform"`
	Size          int64     `json:"Size"`
	Created       time.Time `json:"Created,omitzero"`
	LastTagTime   time.Time `json:"LastTagTime,omitzero"`
}

func newImagesCommand(app *App) *cobra.Command {
	var quiet bool
	var format string
	cmd := &cobra.Command{
		Use:   "images [OPTIONS] [SERVICE...]",
		Short: "List the images of created containers",
		RunE: func(cmd *cobra.Command, services []string) error {
			return app.steer(cmd, services, func(ctx context.Context, s *session, sel orchestrator.Selection) error {
				list, err := s.Ps(ctx, sel, orchestrator.PsOptions{All: true, Orphans: true})
				if err != nil {
					return err
				}
				var rows []*containerImage
				var asJSON []*imageOfContainer
				var ids []string
				for _, c := range list {
					img, err := s.Host.Image(ctx, c.ImageID)
					if err != nil {
						return err
					}
					id := strings.TrimPrefix(img.ID, "sha256:")
					if !slices.Contains(ids, id) {
						ids = append(ids, id)
					}
					row := &containerImage{
						ContainerName: c.Name(), Repository: "<none>", Tag: "<none>", Platform: img.Platform, ID: id[:12],
						Size: units.HumanSizeWithPrecision(float64(img.Size), 3), Created: units.HumanDuration(time.Since(img.Created)) + " ago",
					}
					if len(img.RepoTags) > 0 {
						colon := strings.LastIndexByte(img.RepoTags[0], ':')
						row.Repository, row.Tag = img.RepoTags[0][:colon], img.RepoTags[0][colon+1:]
					}
					rows = append(rows, row)
					full := &imageOfContainer{ID: img.ID, ContainerName: c.Name(), Platform: img.Platform, Size: img.Size, Created: img.Created, LastTagTime: img.Tagged}
					if len(img.RepoTags) > 0 {
						full.Repository, full.Tag = row.Repository, row.Tag
					}
					asJSON = append(asJSON, full)
				}
				if quiet {
					for _, id := range ids {
						fmt.Fprintln(app.Stdout, id)
					}
					return nil
				}
				if format == "json" {
					return render.JSONArray(app.Stdout, asJSON)
				}
				if format == "" || format == "table" {
					format = "table {{.ContainerName}}\t{{.Repository}}\t{{.Tag}}\t{{.Platform}}\t{{.ID}}\t{{.Size}}\t{{.Created}}"
				}
				return render.Rows(app.Stdout, format, render.Columns{
					"ContainerName": "CONTAINER", "Repository": "REPOSITORY", "Tag": "TAG", "Platform": "PLATFORM", "ID": "IMAGE ID", "Size": "SIZE", "Created": "CREATED",
				}, rows)
			})
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only IDs")
	cmd.Flags().StringVar(&format, "format", "", `"table" or "json"`)
	return cmd
}
