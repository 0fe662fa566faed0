package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"compose/cmd/compose/render"
	"compose/orchestrator"
)

func newContainerLogsCommand(app *App) *cobra.Command {
	var follow, timestamps, details bool
	var tail, since, until string
	cmd := &cobra.Command{
		Use:   "logs [OPTIONS] CONTAINER",
		Short: "Show what a container has written",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts := orchestrator.LogOptions{Tail: -1}
			var err error
			if tail != "all" {
				if opts.Tail, err = strconv.Atoi(tail); err != nil {
					return fmt.Errorf(`--tail: %q is neither a number nor "all"`, tail)
				}
			}
			now := time.Now()
			if opts.Since, err = parseTime(since, now); err != nil {
				return fmt.Errorf("--since: %w", err)
			}
			if opts.Until, err = parseTime(until, now); err != nil {
				return fmt.Errorf("--until: %w", err)
			}
			s, c, err := app.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer s.close()
			return app.containerLogs(cmd.Context(), s, c, opts, follow, timestamps)
		},
	}
	fl := cmd.Flags()
	fl.BoolVarP(&follow, "follow", "f", false, "Go on with what is written from now on")
	fl.BoolVarP(&timestamps, "timestamps", "t", false, "Put the time in front of each line")
	fl.BoolVar(&details, "details", false, "Accepted for compatibility: there are no more details")
	fl.StringVarP(&tail, "tail", "n", "all", "Only the last lines")
	fl.StringVar(&since, "since", "", "Only from this time on: 2006-01-02T15:04:05Z, a Unix time, or 42m for 42 minutes ago")
	fl.StringVar(&until, "until", "", "Only up to this time")
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
