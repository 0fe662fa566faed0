package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"compose/cmd/compose/render"
	"compose/engine"
	"compose/orchestrator"
)

// statsRow is a container as `container stats` prints it.
type statsRow struct {
	BlockIO, CPUPerc, Container, ID, MemPerc, MemUsage, Name, NetIO, PIDs string
}

const statsTable = "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}"

var statsColumns = render.Columns{
	"BlockIO": "BLOCK I/O", "CPUPerc": "CPU %", "Container": "CONTAINER", "ID": "CONTAINER ID", "MemPerc": "MEM %",
	"MemUsage": "MEM USAGE / LIMIT", "Name": "NAME", "NetIO": "NET I/O", "PIDs": "PIDS",
}

// statsFlags are those of `container stats` and `stats`.
type statsFlags struct {
	all, noStream, noTrunc bool
	format                 string
}

func (f *statsFlags) register(fl *pflag.FlagSet) {
	fl.BoolVarP(&f.all, "all", "a", false, "Also containers that do not run")
	fl.BoolVar(&f.noStream, "no-stream", false, "Print one look and end")
	fl.BoolVar(&f.noTrunc, "no-trunc", false, "Do not cut IDs short")
	fl.StringVar(&f.format, "format", "", `"table", "json", "table TEMPLATE" or a Go template`)
}

func newContainerStatsCommand(app *App) *cobra.Command {
	f := &statsFlags{}
	cmd := &cobra.Command{
		Use:   "stats [OPTIONS] [CONTAINER...]",
		Short: "Show what containers use, live",
		RunE: func(cmd *cobra.Command, refs []string) error {
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			return app.stats(cmd.Context(), f, func(ctx context.Context) ([]*orchestrator.Container, error) { return s.named(ctx, refs, f.all) })
		},
	}
	f.register(cmd.Flags())
	return cmd
}

func newStatsCommand(app *App) *cobra.Command {
	f := &statsFlags{}
	cmd := &cobra.Command{
		Use:   "stats [OPTIONS] [SERVICE...]",
		Short: "Show what the containers of services use, live",
		RunE: func(cmd *cobra.Command, services []string) error {
			return app.steer(cmd, services, func(ctx context.Context, s *session, sel orchestrator.Selection) error {
				return app.stats(ctx, f, func(ctx context.Context) ([]*orchestrator.Container, error) {
					return s.Ps(ctx, sel, orchestrator.PsOptions{All: f.all, Orphans: true})
				})
			})
		},
	}
	f.register(cmd.Flags())
	return cmd
}

// stats prints what containers use until the user has seen enough.
func (app *App) stats(ctx context.Context, f *statsFlags, find func(context.Context) ([]*orchestrator.Container, error)) error {
	e, err := app.openEngine()
	if err != nil {
		return err
	}
	format := f.format
	if format == "" || format == "table" {
		format = statsTable
	}
	live := !f.noStream && term.IsTerminal(int(app.Stdout.Fd()))
	last := map[string]engine.Stats{}
	for first := true; ; first = false {
		list, err := find(ctx)
		if err != nil {
			return err
		}
		rows, err := statsRows(e, list, f.noTrunc, last)
		if err != nil {
			return err
		}
		// The share of the CPU needs two looks at the clock.
		if !first || len(rows) == 0 {
			var b bytes.Buffer
			if live {
				b.WriteString("\x1b[2J\x1b[H")
			}
			if err := render.Rows(&b, format, statsColumns, rows); err != nil {
				return err
			}
			if _, err := b.WriteTo(app.Stdout); err != nil || f.noStream {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// named finds the containers that are named, or all.
func (s *session) named(ctx context.Context, refs []string, all bool) ([]*orchestrator.Container, error) {
	var list []*orchestrator.Container
	for _, ref := range refs {
		c, err := s.Find(ctx, ref)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	if len(refs) > 0 {
		return list, nil
	}
	every, err := s.Everything(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range every {
		if all || c.Running() {
			list = append(list, c)
		}
	}
	return list, nil
}

// statsRows looks at containers; last is what they had used when it was
// called before.
func statsRows(e *engine.Engine, list []*orchestrator.Container, noTrunc bool, last map[string]engine.Stats) ([]*statsRow, error) {
	var rows []*statsRow
	for _, c := range list {
		id := c.ID
		if !noTrunc {
			id = id[:12]
		}
		row := &statsRow{Container: id, ID: id, Name: c.Name(), CPUPerc: "0.00%", MemUsage: "0B / 0B", MemPerc: "0.00%", NetIO: "0B / 0B", BlockIO: "0B / 0B", PIDs: "0"}
		if c.Running() {
			now, err := e.Stats(c.Container, c.State)
			if err != nil {
				return nil, err
			}
			row.fill(last[c.ID], now)
			last[c.ID] = now
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (r *statsRow) fill(before, now engine.Stats) {
	if passed := now.At.Sub(before.At); !before.At.IsZero() && passed > 0 {
		r.CPUPerc = fmt.Sprintf("%.2f%%", 100*float64(now.CPU-before.CPU)/float64(passed))
	}
	limit := now.MemoryLimit
	if limit == 0 {
		limit = uint64(memoryTotal())
	}
	r.MemUsage = units.BytesSize(float64(now.Memory)) + " / " + units.BytesSize(float64(limit))
	r.MemPerc = fmt.Sprintf("%.2f%%", 100*float64(now.Memory)/float64(max(limit, 1)))
	pair := func(a, b uint64) string { return render.Size(int64(a)) + " / " + render.Size(int64(b)) }
	r.NetIO, r.BlockIO, r.PIDs = pair(now.Received, now.Sent), pair(now.Read, now.Written), fmt.Sprint(now.Processes)
}
