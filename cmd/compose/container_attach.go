package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newContainerAttachCommand(app *App) *cobra.Command {
	var noStdin, sigProxy bool
	var keys string
	cmd := &cobra.Command{
		Use:   "attach [OPTIONS] CONTAINER",
		Short: "Connect to the streams of a container that runs",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, c, err := app.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer s.close()
			if !c.Running() {
				return fmt.Errorf("cannot attach to a container that does not run: start %s first", c.Name())
			}
			con, err := app.connect(c.Spec.TTY, !noStdin && c.Spec.OpenStdin)
			if err != nil {
				return err
			}
			defer con.done()
			if !sigProxy {
				con.streams.Signals = nil
			}
			if c.Spec.TTY {
				if err := con.detachable(keys); err != nil {
					return err
				}
			}
			return detached(exitOf(s.Attach(context.WithoutCancel(cmd.Context()), c.Container, con.streams)))
		},
	}
	cmd.Flags().BoolVar(&noStdin, "no-stdin", false, "Do not connect standard input")
	cmd.Flags().BoolVar(&sigProxy, "sig-proxy", true, "Pass signals on to the process")
	cmd.Flags().StringVar(&keys, "detach-keys", "", "The keys that leave the container to itself (default ctrl-p,ctrl-q)")
	return cmd
}
