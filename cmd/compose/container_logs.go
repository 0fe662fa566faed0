package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"compose/cmd/compose/render"
	"compose/orchestrator"
)

func newContainerLogsCommand(app *App) *cobra.Command {
	f := &logFlags{}
	var details bool
	cmd := &cobra.Command{
		Use:   "logs [OPTIONS] CONTAINER",
		Short: "Show what a container has written",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, err := f.options()
			if err != nil {
				return err
			}
			s, c, err := app.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer s.close()
			return app.containerLogs(cmd.Context(), s, c, opts, f.follow, f.timestamps)
		},
	}
	fl := cmd.Flags()
	f.register(fl, "Only the last lines")
	fl.BoolVar(&details, "details", false, "Accepted for compatibility: there are no more details")
	return cmd
}

// containerLogs prints each line where the container wrote it: to standard
// output or standard error.
func (app *App) containerLogs(ctx context.Context, s *session, c *orchestrator.Container, opts orchestrator.LogOptions, follow, timestamps bool) error {
	inLine := map[string]bool{} // a long line comes in pieces
	emit := func(l orchestrator.LogLine) {
		w := app.Stdout
		if l.Stream == "stderr" && !c.Spec.TTY {
			w = app.Stderr
		}
		if timestamps && !inLine[l.Stream] {
			fmt.Fprint(w, l.Time.UTC().Format("2006-01-02T15:04:05.000000000Z07:00")+" ")
		}
		text := l.Text
		if term.IsTerminal(int(w.Fd())) {
			text = render.Tame(text)
		}
		fmt.Fprint(w, text)
		inLine[l.Stream] = !strings.HasSuffix(l.Text, "\n")
	}
	if !follow || !c.Running() {
		return s.Host.Logs(ctx, c.ID, opts, emit)
	}
	return s.FollowOne(ctx, c, opts, emit)
}
