package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"compose/engine"
)

// inspector describes one kind of object.
type inspector struct {
	kind string
	find func(ctx context.Context, ref string) (any, error)
}

// newDockerInspectCommand describes whatever has the name: a container, an
// image, a volume or a network.
func newDockerInspectCommand(app *App) *cobra.Command {
	var format, kind string
	var size bool
	cmd := &cobra.Command{
		Use:   "inspect [OPTIONS] NAME|ID [NAME|ID...]",
		Short: "Describe containers, images, volumes and networks in full",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			kinds := app.inspectors(s, e, size)
			return app.inspectAll(args, format, func(ref string) (any, error) { return inspectAny(cmd.Context(), kinds, kind, ref) })
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", `"json" or a Go template`)
	cmd.Flags().StringVar(&kind, "type", "", "Only objects of this kind: container, image, volume or network")
	cmd.Flags().BoolVarP(&size, "size", "s", false, "Say how much a container has written")
	return cmd
}

func (app *App) inspectors(s *session, e *engine.Engine, size bool) []inspector {
	return []inspector{
		{"container", func(ctx context.Context, ref string) (any, error) { return app.inspectContainer(ctx, s, ref, size) }},
		{"image", func(ctx context.Context, ref string) (any, error) { return inspectImage(ctx, e, ref) }},
		{"volume", func(_ context.Context, ref string) (any, error) { return inspectVolume(e, ref) }},
		{"network", func(ctx context.Context, ref string) (any, error) { return inspectNetwork(ctx, e, ref) }},
	}
}

func inspectAny(ctx context.Context, kinds []inspector, kind, ref string) (any, error) {
	known := kind == ""
	for _, k := range kinds {
		if kind != "" && k.kind != kind {
			continue
		}
		known = true
		info, err := k.find(ctx, ref)
		if err == nil || kind != "" || !errors.Is(err, fs.ErrNotExist) {
			return info, err
		}
	}
	if !known {
		return nil, fmt.Errorf("%q is not a valid value for --type", kind)
	}
	return nil, fmt.Errorf("no such object: %s", ref)
}
