package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newWaitCommand(app *App) *cobra.Command {
	var down bool
	cmd := &cobra.Command{
		Use:   "wait SERVICE [SERVICE...] [OPTIONS]",
		Short: "Wait until containers of services have ended",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, services []string) error {
			return app.steer(cmd, services, func(ctx context.Context, s *session, sel orchestrator.Selection) error {
				code, err := app.waitForServices(ctx, s, sel, down)
				if err == nil && code != 0 {
					err = exitWith(code)
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&down, "down-project", false, "Take the project down when the first container has ended")
	return cmd
}

// waitForServices waits for the containers that run, with down for the first
// of them, and returns the exit code of the last that has ended.
func (app *App) waitForServices(ctx context.Context, s *session, sel orchestrator.Selection, down bool) (int, error) {
	list, err := s.Ps(ctx, sel, orchestrator.PsOptions{})
	if err != nil {
		return 0, err
	}
	if len(list) == 0 {
		return 0, fmt.Errorf("no containers for project %q", sel.Name)
	}
	if app.DryRun {
		for _, c := range list {
			app.wouldDo("wait for the end of container %s", c.Name())
		}
		return 0, nil
	}
	sup, err := s.Host.Supervisor(ctx, sel.Name)
	if err != nil {
		return 0, err
	}
	type end struct {
		id   string
		code int
		err  error
	}
	ended := make(chan end, len(list))
	for _, c := range list {
		go func() {
			code, err := sup.Wait(ctx, c.ID, "next-exit")
			ended <- end{c.ID, code, err}
		}()
	}
	code := 0
	for range list {
		e := <-ended
		if e.err != nil && !errors.Is(e.err, fs.ErrNotExist) {
			return 0, e.err
		}
		code = e.code
		fmt.Fprintf(app.Stdout, "container %q exited with status code %d\n", e.id, e.code)
		if down {
			return code, s.Down(ctx, sel.Name, sel.Project, orchestrator.DownOptions{RemoveOrphans: true})
		}
	}
	return code, nil
}
