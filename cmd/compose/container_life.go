package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newContainerStopCommand(app *App) *cobra.Command {
	var timeout int
	var signal string
	cmd := &cobra.Command{
		Use:   "stop [OPTIONS] CONTAINER [CONTAINER...]",
		Short: "Stop containers",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			within := seconds(timeout, cmd.Flags().Changed("timeout") || cmd.Flags().Changed("time"))
			return app.eachContainer(cmd.Context(), args, func(ctx context.Context, s *session, c *orchestrator.Container) error {
				return stopContainer(ctx, s, c, func(sup orchestrator.Supervisor) error { return sup.Stop(ctx, c.ID, signal, within) })
			})
		},
	}
	stopFlags(cmd, &timeout, &signal)
	return cmd
}

func stopFlags(cmd *cobra.Command, timeout *int, signal *string) {
	cmd.Flags().IntVarP(timeout, "timeout", "t", 10, "Seconds to wait before killing the container")
	cmd.Flags().IntVar(timeout, "time", 10, "Seconds to wait before killing the container")
	_ = cmd.Flags().MarkHidden("time") // the flag exists
	cmd.Flags().StringVarP(signal, "signal", "s", "", "Signal to send in the place of the container's own")
}

// stopContainer does something to a container that its supervisor has. One
// without a supervisor does not run.
func stopContainer(ctx context.Context, s *session, c *orchestrator.Container, do func(orchestrator.Supervisor) error) error {
	if !c.Running() {
		return nil
	}
	return supervise(ctx, s, c, do)
}

func newContainerRestartCommand(app *App) *cobra.Command {
	var timeout int
	var signal string
	cmd := &cobra.Command{
		Use:   "restart [OPTIONS] CONTAINER [CONTAINER...]",
		Short: "Restart containers",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			within := seconds(timeout, cmd.Flags().Changed("timeout") || cmd.Flags().Changed("time"))
			return app.eachContainer(cmd.Context(), args, func(ctx context.Context, s *session, c *orchestrator.Container) error {
				return supervise(ctx, s, c, func(sup orchestrator.Supervisor) error {
					if signal != "" && c.Running() {
						if err := sup.Stop(ctx, c.ID, signal, within); err != nil {
							return err
						}
						return sup.Start(ctx, c.ID)
					}
					return sup.Restart(ctx, c.ID, within)
				})
			})
		},
	}
	stopFlags(cmd, &timeout, &signal)
	return cmd
}

func newContainerKillCommand(app *App) *cobra.Command {
	var signal string
	cmd := &cobra.Command{
		Use:   "kill [OPTIONS] CONTAINER [CONTAINER...]",
		Short: "Send a signal to containers",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.eachContainer(cmd.Context(), args, func(ctx context.Context, s *session, c *orchestrator.Container) error {
				if !c.Running() {
					return fmt.Errorf("cannot kill container: %s: container %s is not running", c.Name(), c.ID)
				}
				return supervise(ctx, s, c, func(sup orchestrator.Supervisor) error { return sup.Kill(ctx, c.ID, signal) })
			})
		},
	}
	cmd.Flags().StringVarP(&signal, "signal", "s", "SIGKILL", "The signal")
	return cmd
}

func newContainerPauseCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "pause CONTAINER [CONTAINER...]",
		Short: "Freeze the processes of containers",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.eachContainer(cmd.Context(), args, func(ctx context.Context, s *session, c *orchestrator.Container) error {
				if !c.Running() {
					return fmt.Errorf("container %s is not running", c.ID)
				}
				return supervise(ctx, s, c, func(sup orchestrator.Supervisor) error { return sup.Pause(ctx, c.ID) })
			})
		},
	}
}

func newContainerUnpauseCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "unpause CONTAINER [CONTAINER...]",
		Short: "Let the processes of paused containers go on",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.eachContainer(cmd.Context(), args, func(ctx context.Context, s *session, c *orchestrator.Container) error {
				if !c.Running() {
					return fmt.Errorf("container %s is not paused", c.ID)
				}
				return supervise(ctx, s, c, func(sup orchestrator.Supervisor) error { return sup.Unpause(ctx, c.ID) })
			})
		},
	}
}

func newContainerRmCommand(app *App) *cobra.Command {
	var force, volumes bool
	cmd := &cobra.Command{
		Use:     "rm [OPTIONS] CONTAINER [CONTAINER...]",
		Aliases: []string{"remove"},
		Short:   "Remove containers",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := app.eachContainer(cmd.Context(), args, func(ctx context.Context, s *session, c *orchestrator.Container) error {
				return s.RemoveOne(ctx, c, force, volumes)
			})
			if force {
				err = withoutMissing(err)
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Also containers that run: they are killed")
	cmd.Flags().BoolVarP(&volumes, "volumes", "v", false, "Remove their anonymous volumes too")
	return cmd
}

func newContainerRenameCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "rename CONTAINER NEW_NAME",
		Short: "Give a container another name",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, c, err := app.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer s.close()
			return s.Host.RenameContainer(cmd.Context(), c.ID, args[1])
		},
	}
}

func newContainerWaitCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "wait CONTAINER [CONTAINER...]",
		Short: "Wait until containers have ended, and print their exit codes",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var failed []error
			for _, ref := range args {
				code, err := app.waitFor(cmd.Context(), ref)
				if err != nil {
					failed = append(failed, err)
					continue
				}
				fmt.Fprintln(app.Stdout, code)
			}
			return errors.Join(failed...)
		},
	}
}

func (app *App) waitFor(ctx context.Context, ref string) (int, error) {
	s, c, err := app.find(ctx, ref)
	if err != nil {
		return 0, err
	}
	defer s.close()
	if !c.Running() {
		return c.State.ExitCode, nil
	}
	sup, err := s.Host.Supervisor(ctx, c.Spec.Project)
	if err != nil {
		return 0, err
	}
	return sup.Wait(ctx, c.ID, "next-exit")
}

// withoutMissing takes out what is wrong only because it was not there.
func withoutMissing(err error) error {
	list, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var rest []error
	for _, e := range list.Unwrap() {
		if !errors.Is(e, fs.ErrNotExist) {
			rest = append(rest, e)
		}
	}
	return errors.Join(rest...)
}
