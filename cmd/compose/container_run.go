package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"compose/cmd/compose/render"
	"compose/engine"
	"compose/engine/image"
	"compose/orchestrator"
)

func newContainerRunCommand(app *App) *cobra.Command {
	f := &containerFlags{}
	var detach, sigProxy bool
	var keys string
	cmd := &cobra.Command{
		Use:   "run [OPTIONS] IMAGE [COMMAND] [ARG...]",
		Short: "Create a container of an image and start it",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if detach && len(f.attach) > 0 {
				return errors.New("conflicting options: cannot specify both --attach and --detach")
			}
			if f.tty && f.interactive && !detach && !term.IsTerminal(int(app.Stdin.Fd())) {
				return &exitError{code: 1, message: "the input device is not a TTY"}
			}
			s, c, err := app.createStandalone(cmd, f, args)
			if err != nil {
				return exit125(err)
			}
			defer s.close()
			ctx := context.WithoutCancel(cmd.Context())
			if detach {
				if err := exitOf(s.RunOneOff(ctx, c, nil)); err != nil {
					return exit125(err)
				}
				fmt.Fprintln(app.Stdout, c.ID)
				return nil
			}
			con, err := app.connect(f.tty, f.interactive)
			if err != nil {
				return exit125(err)
			}
			defer con.done()
			f.choose(con)
			if !sigProxy {
				con.streams.Signals = nil
			}
			if f.tty {
				if err := con.detachable(keys); err != nil {
					return err
				}
			}
			return exit125(exitOf(s.RunOneOff(ctx, c, &con.streams)))
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "Leave the container running and print its ID")
	cmd.Flags().BoolVar(&sigProxy, "sig-proxy", true, "Pass signals on to the process")
	cmd.Flags().StringVar(&keys, "detach-keys", "", "The keys that leave the container to itself (default ctrl-p,ctrl-q)")
	return cmd
}

// choose leaves the streams that --attach does not name unconnected.
func (f *containerFlags) choose(con *console) {
	if len(f.attach) == 0 {
		return
	}
	wants := func(name string) bool {
		return slices.ContainsFunc(f.attach, func(a string) bool { return strings.EqualFold(a, name) })
	}
	if !wants("stdin") {
		con.streams.Stdin = nil
	}
	if !wants("stdout") {
		con.streams.Stdout = nil
	}
	if !wants("stderr") {
		con.streams.Stderr = nil
	}
}

// exit125 makes an error one of the command itself and not of what it ran;
// leaving a container to itself is none.
func exit125(err error) error {
	var exit *exitError
	if err == nil || errors.As(err, &exit) || errors.Is(err, context.Canceled) {
		return err
	}
	if errors.Is(err, orchestrator.ErrDetached) {
		return nil
	}
	return &exitError{code: 125, message: err.Error()}
}

// createStandalone makes the container that a command line asks for.
func (app *App) createStandalone(cmd *cobra.Command, f *containerFlags, args []string) (*session, *engine.Container, error) {
	f.image, f.command = args[0], args[1:]
	f.entrypointSet = cmd.Flags().Changed("entrypoint")
	f.PublishAll = f.publishAll
	service, err := f.service()
	if err != nil {
		return nil, nil, err
	}
	if f.cidfile != "" {
		if _, err := os.Stat(f.cidfile); !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("container ID file found, make sure the other container isn't running or delete %s", f.cidfile)
		}
	}
	if f.quiet {
		app.Progress = render.ModeQuiet
	}
	s, err := app.session(cmd.Context())
	if err != nil {
		return nil, nil, err
	}
	f.Fetch = func(ctx context.Context, name, platform string, missing bool) error {
		e, err := app.openEngine()
		if err != nil {
			return err
		}
		ref, err := image.ParseReference(name)
		if err != nil {
			return err
		}
		if missing {
			fmt.Fprintf(app.Stderr, "Unable to find image '%s' locally\n", ref.Familiar())
		}
		return app.pullImage(ctx, e, app.Stderr, ref, platform, f.quiet)
	}
	c, err := s.CreateStandalone(cmd.Context(), service, f.StandaloneOptions)
	if err == nil && f.cidfile != "" {
		err = os.WriteFile(f.cidfile, []byte(c.ID), 0o644)
	}
	if err != nil {
		s.close()
		return nil, nil, err
	}
	return s, c, nil
}
