package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newRmCommand(app *App) *cobra.Command {
	var force bool
	var opts orchestrator.RemoveOptions
	cmd := &cobra.Command{
		Use:   "rm [OPTIONS] [SERVICE...]",
		Short: "Remove containers that do not run",
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Confirm = func(names []string) (bool, error) {
				if app.DryRun {
					return true, nil
				}
				line := "Going to remove " + strings.Join(names, ", ")
				if force {
					fmt.Fprintln(app.Stdout, line)
					return true, nil
				}
				return confirm(app, line)
			}
			return app.steer(cmd, args, func(ctx context.Context, s *session, sel orchestrator.Selection) error {
				err := s.Remove(ctx, sel, opts)
				if errors.Is(err, orchestrator.ErrNothing) {
					fmt.Fprintln(app.Stderr, "No stopped containers")
					return nil
				}
				return err
			})
		},
	}
	fl := cmd.Flags()
	fl.BoolVarP(&force, "force", "f", false, "Do not ask")
	fl.BoolVarP(&opts.Stop, "stop", "s", false, "Stop the containers first")
	fl.BoolVarP(&opts.Volumes, "volumes", "v", false, "Remove their anonymous volumes too")
	fl.BoolP("all", "a", false, "No effect")
	_ = fl.MarkHidden("all") // the flag exists
	return cmd
}

// confirm asks a question that a line "y" or "yes" affirms.
func confirm(app *App, question string) (bool, error) {
	fmt.Fprintf(app.Stdout, "%s [yN] ", question)
	line, err := bufio.NewReader(app.Stdin).ReadString('\n')
	if err != nil && line == "" {
		fmt.Fprintln(app.Stdout)
		return false, nil // nobody there to say yes
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}
