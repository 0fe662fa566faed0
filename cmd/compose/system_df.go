package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/engine"
)

// diskRow is a kind of object as `system df` prints it.
type diskRow struct{ Type, TotalCount, Active, Size, Reclaimable string }

func newSystemDfCommand(app *App) *cobra.Command {
	var verbose bool
	var format string
	cmd := &cobra.Command{
		Use:   "df [OPTIONS]",
		Short: "Show how much disk is used",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			if verbose {
				return app.diskUsage(cmd.Context(), e)
			}
			var rows []*diskRow
			for _, kind := range []func(context.Context, *engine.Engine) (*diskRow, error){imagesOnDisk, containersOnDisk, volumesOnDisk, buildsOnDisk} {
				row, err := kind(cmd.Context(), e)
				if err != nil {
					return err
				}
				rows = append(rows, row)
			}
			if format == "" || format == "table" {
				format = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"
			}
			return render.Rows(app.Stdout, format, render.Columns{
				"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE",
			}, rows)
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "Each object apart")
	cmd.Flags().StringVar(&format, "format", "", `"table", "json", "table TEMPLATE" or a Go template`)
	return cmd
}

func newDiskRow(kind string, total, active int, size, reclaimable int64) *diskRow {
	free := render.Size(reclaimable)
	if size > 0 && kind != "Build Cache" {
		free += fmt.Sprintf(" (%d%%)", reclaimable*100/size)
	}
	return &diskRow{kind, strconv.Itoa(total), strconv.Itoa(active), render.Size(size), free}
}

// imagesOnDisk counts each layer once, however many images share it.
func imagesOnDisk(ctx context.Context, e *engine.Engine) (*diskRow, error) {
	list, err := e.Images().List(ctx)
	if err != nil {
		return nil, err
	}
	var size, used int64
	inUse := map[string]bool{}
	active := 0
	for _, img := range list {
		users, err := e.ImageUsers(ctx, img.ID)
		if err != nil {
			return nil, err
		}
		if len(users) > 0 {
			active++
			for _, l := range img.Layers {
				inUse[l.ChainID.String()] = true
			}
		}
	}
	for chain, n := range layerSizes(list) {
		size += n
		if inUse[chain] {
			used += n
		}
	}
	return newDiskRow("Images", len(list), active, size, size-used), nil
}

func containersOnDisk(ctx context.Context, e *engine.Engine) (*diskRow, error) {
	list, err := e.Containers(ctx, engine.Filter{})
	if err != nil {
		return nil, err
	}
	var size, free int64
	active := 0
	for _, c := range list {
		written, _, err := e.Size(ctx, c.ID)
		if err != nil {
			continue // removed in the meantime
		}
		size += written
		if state, err := e.State(c.ID); err == nil && (state.Status == engine.Running || state.Status == engine.Paused || state.Status == engine.Restarting) {
			active++
		} else {
			free += written
		}
	}
	return newDiskRow("Containers", len(list), active, size, free), nil
}

func volumesOnDisk(ctx context.Context, e *engine.Engine) (*diskRow, error) {
	list, err := e.Volumes().List()
	if err != nil {
		return nil, err
	}
	used, err := volumeUsers(ctx, e)
	if err != nil {
		return nil, err
	}
	var size, free int64
	active := 0
	for _, v := range list {
		n, err := e.VolumeSize(v.Name)
		if err != nil {
			return nil, err
		}
		size += n
		if used[v.Name] > 0 {
			active++
		} else {
			free += n
		}
	}
	return newDiskRow("Local Volumes", len(list), active, size, free), nil
}

func buildsOnDisk(_ context.Context, e *engine.Engine) (*diskRow, error) {
	list, err := e.Builder().Cache()
	if err != nil {
		return nil, err
	}
	var size int64
	for _, c := range list {
		size += c.Size
	}
	return newDiskRow("Build Cache", len(list), 0, size, size), nil
}

// diskUsage lists each object with its size.
func (app *App) diskUsage(ctx context.Context, e *engine.Engine) error {
	fmt.Fprint(app.Stdout, "Images space usage:\n\n")
	list, err := e.Images().List(ctx)
	if err != nil {
		return err
	}
	shared := map[string]int{}
	for _, img := range list {
		for _, l := range img.Layers {
			shared[l.ChainID.String()]++
		}
	}
	type imageUse struct{ Repository, Tag, ID, CreatedSince, Size, SharedSize, UniqueSize, Containers string }
	var images []*imageUse
	for _, img := range list {
		var common int64
		for _, l := range img.Layers {
			if shared[l.ChainID.String()] > 1 {
				common += l.Size
			}
		}
		users, err := e.ImageUsers(ctx, img.ID)
		if err != nil {
			return err
		}
		for _, r := range imageRows(img, false, false) {
			images = append(images, &imageUse{r.Repository, r.Tag, r.ID, r.CreatedSince, r.Size, render.Size(common), render.Size(img.Size - common), strconv.Itoa(len(users))})
		}
	}
	if err := render.Rows(app.Stdout, "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}", render.Columns{
		"Repository": "REPOSITORY", "Tag": "TAG", "ID": "IMAGE ID", "CreatedSince": "CREATED", "Size": "SIZE", "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE", "Containers": "CONTAINERS",
	}, images); err != nil {
		return err
	}
	if err := app.containerUsage(ctx, e); err != nil {
		return err
	}
	if err := app.volumeUsage(ctx, e); err != nil {
		return err
	}
	return app.cacheUsage(e)
}

func (app *App) containerUsage(ctx context.Context, e *engine.Engine) error {
	fmt.Fprint(app.Stdout, "\nContainers space usage:\n\n")
	s, err := app.session(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	list, err := s.Everything(ctx)
	if err != nil {
		return err
	}
	var rows []*render.ContainerLine
	for _, c := range list {
		row := render.NewContainerLine(c, time.Now(), true)
		if written, _, err := e.Size(ctx, c.ID); err == nil {
			row.Size = render.Size(written)
		}
		rows = append(rows, row)
	}
	return render.ContainerLines(app.Stdout, "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}", false, rows)
}

func (app *App) volumeUsage(ctx context.Context, e *engine.Engine) error {
	fmt.Fprint(app.Stdout, "\nLocal Volumes space usage:\n\n")
	list, err := e.Volumes().List()
	if err != nil {
		return err
	}
	used, err := volumeUsers(ctx, e)
	if err != nil {
		return err
	}
	var rows []*volumeRow
	for _, v := range list {
		n, err := e.VolumeSize(v.Name)
		if err != nil {
			return err
		}
		rows = append(rows, &volumeRow{Name: v.Name, Links: strconv.Itoa(used[v.Name]), Size: render.Size(n)})
	}
	return render.Rows(app.Stdout, "table {{.Name}}\t{{.Links}}\t{{.Size}}", render.Columns{"Name": "VOLUME NAME", "Links": "LINKS", "Size": "SIZE"}, rows)
}

func (app *App) cacheUsage(e *engine.Engine) error {
	list, err := e.Builder().Cache()
	if err != nil {
		return err
	}
	var sum int64
	type cacheUse struct{ ID, CacheType, Size, LastUsedSince string }
	var rows []*cacheUse
	for _, c := range list {
		sum += c.Size
		rows = append(rows, &cacheUse{strings.TrimSpace(c.ID), c.Type, render.Size(c.Size), cacheAge(c)})
	}
	fmt.Fprintf(app.Stdout, "\nBuild cache usage: %s\n\n", units.HumanSize(float64(sum)))
	return render.Rows(app.Stdout, "table {{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.LastUsedSince}}", render.Columns{
		"ID": "CACHE ID", "CacheType": "CACHE TYPE", "Size": "SIZE", "LastUsedSince": "LAST USED",
	}, rows)
}
