package main

import (
	"context"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newAttachCommand(app *App) *cobra.Command {
	var index int
	var noStdin, sigProxy bool
	var keys string
	cmd := &cobra.Command{
		Use:   "attach [OPTIONS] SERVICE",
		Short: "Connect to the streams of a container that runs",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := app.projectName()
			if err != nil {
				return err
			}
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			c, err := s.Target(cmd.Context(), orchestrator.Selection{Name: name, Services: args}, index)
			if err != nil {
				return err
			}
			s.close()
			if app.wouldDo("attach to container %s", c.Name()) {
				return nil
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
	cmd.Flags().IntVar(&index, "index", 0, "The number of the container, if the service has several")
	cmd.Flags().StringVar(&keys, "detach-keys", "", "The keys that leave the container to itself (default ctrl-p,ctrl-q)")
	cmd.Flags().BoolVar(&noStdin, "no-stdin", false, "Do not connect standard input")
	cmd.Flags().BoolVar(&sigProxy, "sig-proxy", true, "Pass signals on to the process")
	return cmd
}
