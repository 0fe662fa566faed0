package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"compose/orchestrator"
)

func newAttachCommand(app *App) *cobra.Command {
	var index int
	f := &attachFlags{}
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
			return f.attach(cmd.Context(), s, c)
		},
	}
	cmd.Flags().IntVar(&index, "index", 0, "The number of the container, if the service has several")
	f.register(cmd.Flags())
	return cmd
}

// attachFlags are those that the attach to a container and to a service have.
type attachFlags struct {
	noStdin, sigProxy bool
	keys              string
}

func (f *attachFlags) register(fl *pflag.FlagSet) {
	fl.BoolVar(&f.noStdin, "no-stdin", false, "Do not connect standard input")
	fl.BoolVar(&f.sigProxy, "sig-proxy", true, "Pass signals on to the process")
	fl.StringVar(&f.keys, "detach-keys", "", "The keys that leave the container to itself (default ctrl-p,ctrl-q)")
}

// attach connects to a container that runs, until it has ended or is left.
func (f *attachFlags) attach(ctx context.Context, s *session, c *orchestrator.Container) error {
	con, err := s.app.connect(c.Spec.TTY, !f.noStdin && c.Spec.OpenStdin)
	if err != nil {
		return err
	}
	defer con.done()
	if !f.sigProxy {
		con.streams.Signals = nil
	}
	if c.Spec.TTY {
		if err := con.detachable(f.keys); err != nil {
			return err
		}
	}
	return detached(exitOf(s.Attach(context.WithoutCancel(ctx), c.Container, con.streams)))
}
