package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newStartCommand(app *App) *cobra.Command {
	var wait bool
	var waitTimeout int
	cmd := &cobra.Command{
		Use:   "start [OPTIONS] [SERVICE...]",
		Short: "Start containers that exist",
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.steer(cmd, args, func(ctx context.Context, s *session, sel orchestrator.Selection) error {
				ctx, cancel := withTimeout(ctx, wait, waitTimeout)
				defer cancel()
				err := s.Start(ctx, sel, orchestrator.StartOptions{Wait: wait})
				if errors.Is(err, errWaitTimeout) {
					return fmt.Errorf("application not healthy after %s", time.Duration(waitTimeout)*time.Second)
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "Return once all services run or are healthy")
	cmd.Flags().IntVar(&waitTimeout, "wait-timeout", 0, "Give up waiting after so many seconds")
	return cmd
}

// errWaitTimeout is the cause of the end of a wait that took too long.
var errWaitTimeout = errors.New("waited long enough")

// withTimeout bounds a wait, if there is one.
func withTimeout(ctx context.Context, wait bool, sec int) (context.Context, context.CancelFunc) {
	if !wait || sec == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, time.Duration(sec)*time.Second, errWaitTimeout)
}

// seconds is the value of a --timeout flag; nil if it was not given.
func seconds(n int, given bool) *time.Duration {
	if !given {
		return nil
	}
	d := time.Duration(n) * time.Second
	return &d
}

func envBool(name string) bool {
	v, _ := strconv.ParseBool(os.Getenv(name))
	return v
}
