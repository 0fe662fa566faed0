package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"compose/orchestrator"
)

func newLogsCommand(app *App) *cobra.Command {
	f := &logFlags{}
	var noColor, noPrefix bool
	var index int
	cmd := &cobra.Command{
		Use:   "logs [OPTIONS] [SERVICE...]",
		Short: "Show what containers have written",
		RunE: func(cmd *cobra.Command, args []string) error {
			if index > 0 && len(args) != 1 {
				return errors.New("--index requires one service to be selected")
			}
			opts, err := f.options()
			if err != nil {
				return err
			}
			opts.Follow = f.follow
			sel, err := app.selection(cmd.Context(), args)
			if err != nil {
				return err
			}
			if sel.Project != nil && len(args) == 0 {
				for _, s := range sel.Project.Services {
					if s.Attach == nil || *s.Attach {
						sel.Services = append(sel.Services, s.Name)
					}
				}
			}
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			return s.Logs(cmd.Context(), sel, index, opts, s.logs(noColor, noPrefix, f.timestamps))
		},
	}
	fl := cmd.Flags()
	f.register(fl, "Only the last lines of each container")
	fl.IntVar(&index, "index", 0, "Of the service's container with this number only")
	fl.BoolVar(&noColor, "no-color", false, "Do not colour the lines")
	fl.BoolVar(&noPrefix, "no-log-prefix", false, "Do not put the container's name in front of each line")
	return cmd
}

// logFlags are those that every form of logs has.
type logFlags struct {
	timeRange
	follow, timestamps bool
	tail               string
}

func (f *logFlags) register(fl *pflag.FlagSet, tail string) {
	fl.BoolVarP(&f.follow, "follow", "f", false, "Go on with what is written from now on")
	fl.BoolVarP(&f.timestamps, "timestamps", "t", false, "Put the time in front of each line")
	fl.StringVarP(&f.tail, "tail", "n", "all", tail)
	fl.StringVar(&f.since, "since", "", "Only from this time on: 2006-01-02T15:04:05Z, a Unix time, or 42m for 42 minutes ago")
	fl.StringVar(&f.until, "until", "", "Only up to this time")
}

// options say which lines are asked for.
func (f *logFlags) options() (opts orchestrator.LogOptions, err error) {
	opts.Tail = -1
	if f.tail != "all" {
		if opts.Tail, err = strconv.Atoi(f.tail); err != nil {
			return opts, fmt.Errorf(`--tail: %q is neither a number nor "all"`, f.tail)
		}
	}
	opts.Since, opts.Until, err = f.times()
	return opts, err
}

// timeRange is what --since and --until say.
type timeRange struct{ since, until string }

// times are its ends; the zero time is none.
func (r timeRange) times() (since, until time.Time, err error) {
	now := time.Now()
	if since, err = parseTime(r.since, now); err != nil {
		return since, until, fmt.Errorf("--since: %w", err)
	}
	if until, err = parseTime(r.until, now); err != nil {
		return since, until, fmt.Errorf("--until: %w", err)
	}
	return since, until, nil
}

// parseTime reads a point in time as `docker logs` does: a date, a Unix time
// with or without a fraction, or how long ago it was.
func parseTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02Z07:00", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return time.UnixMicro(int64(f * 1e6)), nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time; write it as 2006-01-02T15:04:05Z or as 10m for ten minutes ago", s)
}
