package main

import (
	"context"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newContainerStartCommand(app *App) *cobra.Command {
	var attach, interactive bool
	var keys string
	cmd := &cobra.Command{
		Use:   "start [OPTIONS] CONTAINER [CONTAINER...]",
		Short: "Start containers that do not run",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if attach || interactive {
				if len(args) > 1 {
					return exitWithMessage(1, "you cannot start and attach multiple containers at once")
				}
				return app.startAttached(cmd.Context(), args[0], interactive, keys)
			}
			return app.eachContainer(cmd.Context(), args, func(ctx context.Context, s *session, c *orchestrator.Container) error {
				return supervise(ctx, s, c, func(sup orchestrator.Supervisor) error {
					return sup.Start(context.WithoutCancel(ctx), c.ID)
				})
			})
		},
	}
	cmd.Flags().BoolVarP(&attach, "attach", "a", false, "Show the container's output and pass signals on")
	cmd.Flags().BoolVarP(&interactive, "interactive", "i", false, "Connect standard input")
	cmd.Flags().StringVar(&keys, "detach-keys", "", "The keys that leave the container to itself (default ctrl-p,ctrl-q)")
	return cmd
}

func exitWithMessage(code int, message string) error { return &exitError{code: code, message: message} }

func (app *App) startAttached(ctx context.Context, ref string, interactive bool, keys string) error {
	s, c, err := app.find(ctx, ref)
	if err != nil {
		return err
	}
	defer s.close()
	con, err := app.connect(c.Spec.TTY, interactive && c.Spec.OpenStdin)
	if err != nil {
		return err
	}
	defer con.done()
	if c.Spec.TTY {
		if err := con.detachable(keys); err != nil {
			return err
		}
	}
	return detached(exitOf(s.RunOneOff(context.WithoutCancel(ctx), c.Container, &con.streams)))
}

// detached takes leaving a container to itself for what it is: no error.
func detached(err error) error {
	if err == orchestrator.ErrDetached {
		return nil
	}
	return err
}
