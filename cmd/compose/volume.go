package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"compose/engine"
	"compose/internal/objectname"
	"compose/volumes"
)

func newVolumeCommand(app *App) *cobra.Command {
	return app.group(&cobra.Command{Use: "volume COMMAND", Short: "Manage volumes"}, func() []*cobra.Command {
		return []*cobra.Command{
			newVolumeCreateCommand(app), newVolumeLsCommand(app), newVolumeInspectCommand(app), newVolumeRmCommand(app),
			newVolumePruneCommand(app),
		}
	})
}

func newVolumeCreateCommand(app *App) *cobra.Command {
	var driver string
	var options, labels []string
	cmd := &cobra.Command{
		Use:   "create [OPTIONS] [VOLUME]",
		Short: "Create a volume",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			cfg := volumes.Config{Driver: driver, Options: pairs(options), Labels: pairs(labels)}
			if len(args) > 0 {
				cfg.Name = args[0]
			} else {
				cfg.Name = objectname.NewID()
				cfg.Labels[engine.AnonymousLabel] = ""
			}
			v, err := e.Volumes().Create(cfg)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(app.Stdout, v.Name)
			return err
		},
	}
	cmd.Flags().StringVarP(&driver, "driver", "d", "local", `The driver; there is "local" only`)
	cmd.Flags().StringArrayVarP(&options, "opt", "o", nil, "An option of the driver, as type=tmpfs (repeatable)")
	cmd.Flags().StringArrayVar(&labels, "label", nil, "A label, as KEY=VALUE (repeatable)")
	return cmd
}

func newVolumeRmCommand(app *App) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "rm [OPTIONS] VOLUME [VOLUME...]",
		Aliases: []string{"remove"},
		Short:   "Remove volumes",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			return app.removeEach(args, force, func(name string) error { return removeVolume(cmd.Context(), e, name) })
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "No error for one that is not there")
	return cmd
}

// removeVolume removes a volume that no container has.
func removeVolume(ctx context.Context, e *engine.Engine, name string) error {
	users, err := e.VolumeUsers(ctx, name)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return &volumes.InUseError{Name: name, By: users}
	}
	return e.Volumes().Remove(name)
}

// volumeUsers are the names of all volumes that containers have.
func volumeUsers(ctx context.Context, e *engine.Engine) (map[string]int, error) {
	list, err := e.Containers(ctx, engine.Filter{})
	if err != nil {
		return nil, err
	}
	used := map[string]int{}
	for _, c := range list {
		var seen []string
		for _, m := range c.Spec.Mounts {
			if m.Type == "volume" && !slices.Contains(seen, m.Source) {
				used[m.Source]++
				seen = append(seen, m.Source)
			}
		}
	}
	return used, nil
}

// labelList is labels in one line, as a table has them.
func labelList(labels map[string]string) string {
	words := make([]string, 0, len(labels))
	for k, v := range labels {
		words = append(words, k+"="+v)
	}
	slices.Sort(words)
	return strings.Join(words, ",")
}
