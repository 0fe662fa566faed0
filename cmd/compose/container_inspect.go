package main

import (
	"context"

	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/orchestrator"
)

func newContainerInspectCommand(app *App) *cobra.Command {
	var format string
	var size bool
	cmd := &cobra.Command{
		Use:   "inspect [OPTIONS] CONTAINER [CONTAINER...]",
		Short: "Describe containers in full",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			return app.inspectAll(args, format, func(ref string) (any, error) { return app.inspectContainer(cmd.Context(), s, ref, size) })
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", `"json" or a Go template`)
	cmd.Flags().BoolVarP(&size, "size", "s", false, "Say how much each has written")
	return cmd
}

func (app *App) inspectContainer(ctx context.Context, s *session, ref string, size bool) (*render.ContainerInfo, error) {
	c, err := s.Find(ctx, ref)
	if err != nil {
		return nil, err
	}
	e, err := app.openEngine()
	if err != nil {
		return nil, err
	}
	info := render.NewContainerInfo(c, e.Roots().Container(c.ID), e.LogPath(c.ID), e.Volumes())
	if size {
		written, total, err := e.Size(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		info.SizeRw, info.SizeRootFs = &written, &total
	}
	return info, nil
}

// containerSize is the size column of `container ls`.
func (s *session) containerSize(ctx context.Context, c *orchestrator.Container) (string, error) {
	e, err := s.app.openEngine()
	if err != nil {
		return "", err
	}
	written, total, err := e.Size(ctx, c.ID)
	if err != nil {
		return "", err
	}
	return render.Size(written) + " (virtual " + render.Size(total) + ")", nil
}
