package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/engine"
	"compose/volumes"
)

// volumeRow is a volume as `volume ls` prints it.
type volumeRow struct {
	Availability, Driver, Group, Labels, Links, Mountpoint, Name, Scope, Size, Status string

	labels map[string]string
}

// Label is for templates: {{.Label "name"}}.
func (r *volumeRow) Label(name string) string { return r.labels[name] }

func newVolumeLsCommand(app *App) *cobra.Command {
	var quiet bool
	var format string
	var words *[]string
	cmd := &cobra.Command{
		Use:     "ls [OPTIONS]",
		Aliases: []string{"list"},
		Short:   "List volumes",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			want, err := parseFilters(*words, "dangling", "driver", "label", "name")
			if err != nil {
				return err
			}
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			list, err := e.Volumes().List()
			if err != nil {
				return err
			}
			used, err := volumeUsers(cmd.Context(), e)
			if err != nil {
				return err
			}
			var rows []*volumeRow
			for _, v := range list {
				if !want.volume(v, used[v.Name] > 0) {
					continue
				}
				rows = append(rows, newVolumeRow(e, v))
			}
			return app.printVolumes(rows, quiet, format)
		},
	}
	words = filterFlag(cmd)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only names")
	cmd.Flags().StringVar(&format, "format", "", `"table", "json", "table TEMPLATE" or a Go template`)
	return cmd
}

func newVolumeRow(e *engine.Engine, v *volumes.Volume) *volumeRow {
	return &volumeRow{
		Availability: "N/A", Driver: v.Driver, Group: "N/A", Labels: labelList(v.Labels), Links: "N/A",
		Mountpoint: e.Volumes().Path(v.Name), Name: v.Name, Scope: "local", Size: "N/A", Status: "N/A", labels: v.Labels,
	}
}

func (app *App) printVolumes(rows []*volumeRow, quiet bool, format string) error {
	if quiet {
		for _, r := range rows {
			fmt.Fprintln(app.Stdout, r.Name)
		}
		return nil
	}
	if format == "" || format == "table" {
		format = "table {{.Driver}}\t{{.Name}}"
	}
	return render.Rows(app.Stdout, format, render.Columns{
		"Availability": "AVAILABILITY", "Driver": "DRIVER", "Group": "GROUP", "Labels": "LABELS", "Links": "LINKS",
		"Mountpoint": "MOUNTPOINT", "Name": "VOLUME NAME", "Scope": "SCOPE", "Size": "SIZE", "Status": "STATUS",
	}, rows)
}

func (f filters) volume(v *volumes.Volume, used bool) bool {
	return f.labels(v.Labels) &&
		f.any("name", func(name string) bool { return strings.Contains(v.Name, name) }) &&
		f.any("driver", func(driver string) bool { return v.Driver == driver }) &&
		f.any("dangling", func(text string) bool {
			dangling, err := strconv.ParseBool(text)
			return err == nil && dangling != used
		})
}

// volumeInfo is a volume as `volume inspect` describes it.
type volumeInfo struct {
	CreatedAt  string
	Driver     string
	Labels     map[string]string
	Mountpoint string
	Name       string
	Options    map[string]string
	Scope      string
}

func inspectVolume(e *engine.Engine, name string) (any, error) {
	v, err := e.Volumes().Get(name)
	if err != nil {
		return nil, err
	}
	return &volumeInfo{
		CreatedAt: v.Created.Local().Format(time.RFC3339), Driver: v.Driver, Labels: v.Labels,
		Mountpoint: e.Volumes().Path(name), Name: name, Options: v.Options, Scope: "local",
	}, nil
}

func newVolumeInspectCommand(app *App) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "inspect [OPTIONS] VOLUME [VOLUME...]",
		Short: "Describe volumes in full",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			return app.inspectAll(args, format, func(ref string) (any, error) { return inspectVolume(e, ref) })
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", `"json" or a Go template`)
	return cmd
}

// removeEach removes what is named, prints the names of what has gone, and says
// which could not be removed. With force it is no error that one is not there.
func (app *App) removeEach(refs []string, force bool, remove func(ref string) error) error {
	var failed []error
	for _, ref := range refs {
		if err := remove(ref); err != nil && !(force && errors.Is(err, fs.ErrNotExist)) {
			failed = append(failed, err)
			continue
		}
		fmt.Fprintln(app.Stdout, ref)
	}
	return errors.Join(failed...)
}

// inspectAll describes each object that is found, and says which are not.
func (app *App) inspectAll(refs []string, format string, find func(ref string) (any, error)) error {
	var found []any
	var failed []error
	for _, ref := range refs {
		info, err := find(ref)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		found = append(found, info)
	}
	return errors.Join(append(failed, render.Inspect(app.Stdout, format, found))...)
}

func newVolumePruneCommand(app *App) *cobra.Command {
	var force, all bool
	var words []string
	cmd := &cobra.Command{
		Use:   "prune [OPTIONS]",
		Short: "Remove volumes that no container has",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			want, err := parseFilters(words, "label", "label!", "all")
			if err != nil {
				return err
			}
			all = all || !want.any("all", func(v string) bool { return v == "false" || v == "0" })
			if !force {
				what := "anonymous local volumes"
				if all {
					what = "all local volumes"
				}
				fmt.Fprintf(app.Stdout, "WARNING! This will remove %s not used by at least one container.\n", what)
				if ok, err := confirm(app, "Are you sure you want to continue?"); !ok || err != nil {
					return err
				}
			}
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			removed, freed, err := pruneVolumes(cmd, e, all, want)
			app.deleted("Volumes", removed)
			fmt.Fprintln(app.Stdout, "Total reclaimed space:", render.Size(freed))
			return err
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Do not ask")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "Also volumes that have a name of their own")
	cmd.Flags().StringArrayVar(&words, "filter", nil, "Only some, as label=KEY=VALUE (repeatable)")
	return cmd
}

// deleted lists what a prune has removed, if anything.
func (app *App) deleted(what string, names []string) {
	if len(names) == 0 {
		return
	}
	fmt.Fprintf(app.Stdout, "Deleted %s:\n%s\n\n", what, strings.Join(names, "\n"))
}

func pruneVolumes(cmd *cobra.Command, e *engine.Engine, all bool, want filters) (removed []string, freed int64, err error) {
	list, err := e.Volumes().List()
	if err != nil {
		return nil, 0, err
	}
	for _, v := range list {
		if _, anonymous := v.Labels[engine.AnonymousLabel]; !anonymous && !all || !want.labels(v.Labels) {
			continue
		}
		size, err := e.VolumeSize(v.Name)
		if err != nil {
			return removed, freed, err
		}
		var used *volumes.InUseError
		switch err := removeVolume(cmd.Context(), e, v.Name); {
		case errors.As(err, &used):
		case err != nil:
			return removed, freed, err
		default:
			removed, freed = append(removed, v.Name), freed+size
		}
	}
	return removed, freed, nil
}
