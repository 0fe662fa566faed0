package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"compose/engine"
	"compose/orchestrator"
)

// containersOf are a service's containers, running or not: the one with a
// number, or all; all includes those of `run`.
func (app *App) containersOf(ctx context.Context, s *session, service string, index int, all bool) ([]*orchestrator.Container, error) {
	name, err := app.projectName()
	if err != nil {
		return nil, err
	}
	list, err := s.Ps(ctx, orchestrator.Selection{Name: name, Services: []string{service}}, orchestrator.PsOptions{All: true})
	if err != nil {
		return nil, err
	}
	var out []*orchestrator.Container
	for _, c := range list {
		if (all || !c.OneOff) && (index == 0 || c.Number == index) {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no container found for service %q", service)
	}
	return out, nil
}

func newCpCommand(app *App) *cobra.Command {
	var opts engine.CopyOptions
	var index int
	var all bool
	cmd := &cobra.Command{
		Use:   "cp [OPTIONS] SERVICE:SRC_PATH DEST_PATH|- | cp [OPTIONS] SRC_PATH|- SERVICE:DEST_PATH",
		Short: "Copy files between services and the host",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, src := splitContainer(args[0])
			to, dst := splitContainer(args[1])
			switch {
			case from != "" && to != "":
				return errors.New("copying between services is not supported")
			case from == "" && to == "":
				return errors.New("unknown copy direction")
			}
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			list, err := app.containersOf(cmd.Context(), s, from+to, index, all) // one of them is empty
			if err != nil {
				return err
			}
			if from != "" {
				list = list[:1]
			}
			if app.DryRun {
				for _, c := range list {
					app.wouldDo("copy %s to %s (container %s)", args[0], args[1], c.Name())
				}
				return nil
			}
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			if from != "" {
				if dst == "-" {
					return e.CopyOutArchive(cmd.Context(), list[0].ID, src, app.Stdout, opts)
				}
				return s.copied(list[0], args, e.CopyOut(cmd.Context(), list[0].ID, src, dst, opts))
			}
			if src == "-" {
				return e.CopyInArchive(cmd.Context(), list[0].ID, app.Stdin, dst)
			}
			for _, c := range list {
				if err := s.copied(c, args, e.CopyIn(cmd.Context(), c.ID, src, dst, opts)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.BoolVarP(&opts.Archive, "archive", "a", false, "Keep owners")
	fl.BoolVarP(&opts.FollowLink, "follow-link", "L", false, "Copy what a link in the source path points to")
	fl.IntVar(&index, "index", 0, "The number of the container, if the service has several")
	fl.BoolVar(&all, "all", false, "Also containers of run")
	return cmd
}

// copied tells of a copy.
func (s *session) copied(c *orchestrator.Container, args []string, err error) error {
	if err == nil {
		s.report(orchestrator.Event{ID: c.Name(), Status: orchestrator.Done, Text: "copy " + args[0] + " to " + args[1] + " Copied"})
	}
	return err
}

func newExportCommand(app *App) *cobra.Command {
	var output string
	var index int
	cmd := &cobra.Command{
		Use:   "export [OPTIONS] SERVICE",
		Short: "Write a service container's files as a tar archive",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" && term.IsTerminal(int(app.Stdout.Fd())) {
				return errors.New("output option is required when exporting to terminal")
			}
			return app.onService(cmd.Context(), args[0], index, func(e *engine.Engine, c *orchestrator.Container) error {
				if app.wouldDo("write the files of container %s to %s", c.Name(), cmp.Or(output, "standard output")) {
					return nil
				}
				return writeTo(app, output, func(w io.Writer) error { return e.ExportContainer(cmd.Context(), c.ID, w) })
			})
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "The file to write, in the place of standard output")
	cmd.Flags().IntVar(&index, "index", 0, "The number of the container, if the service has several")
	return cmd
}

func newCommitCommand(app *App) *cobra.Command {
	f := &commitFlags{}
	var index int
	cmd := &cobra.Command{
		Use:   "commit [OPTIONS] SERVICE [REPOSITORY[:TAG]]",
		Short: "Make an image of a service's container",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.of(args)
			return app.onService(cmd.Context(), args[0], index, func(e *engine.Engine, c *orchestrator.Container) error {
				if app.wouldDo("make the image %s of container %s", cmp.Or(f.Ref, "without a name"), c.Name()) {
					return nil
				}
				return f.commit(cmd.Context(), app, e, c)
			})
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().IntVar(&index, "index", 0, "The number of the container, if the service has several")
	return cmd
}

// onService does something with a service's container.
func (app *App) onService(ctx context.Context, service string, index int, do func(*engine.Engine, *orchestrator.Container) error) error {
	s, err := app.session(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	list, err := app.containersOf(ctx, s, service, index, false)
	if err != nil {
		return err
	}
	e, err := app.openEngine()
	if err != nil {
		return err
	}
	return do(e, list[0])
}
