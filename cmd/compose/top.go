package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newTopCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "top [SERVICE...]",
		Short: "Show the processes of services",
		RunE: func(cmd *cobra.Command, services []string) error {
			return app.steer(cmd, services, func(ctx context.Context, s *session, sel orchestrator.Selection) error {
				list, err := s.Ps(ctx, sel, orchestrator.PsOptions{All: true, Orphans: true})
				if err != nil {
					return err
				}
				return app.printTop(ctx, s, list)
			})
		},
	}
}

// printTop prints the processes of all containers that run as one table.
func (app *App) printTop(ctx context.Context, s *session, list []*orchestrator.Container) error {
	w := tabwriter.NewWriter(app.Stdout, 4, 1, 2, ' ', 0)
	begun := false
	for _, c := range list {
		if !c.Running() {
			continue
		}
		pids, err := s.Host.PIDs(ctx, c.ID)
		if err != nil {
			return err
		}
		for _, pid := range pids {
			row, ok := processRow(pid)
			if !ok {
				continue
			}
			if !begun {
				fmt.Fprintln(w, "SERVICE\t#\t"+processTitles)
				begun = true
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", c.Service, cmp.Or(c.Label(orchestrator.LabelNumber), "1"), row)
		}
	}
	return w.Flush()
}

const processTitles = "UID\tPID\tPPID\tC\tSTIME\tTTY\tTIME\tCMD"

// processes prints a container's processes as `ps -ef` does.
func (app *App) processes(ctx context.Context, s *session, c *orchestrator.Container) error {
	pids, err := s.Host.PIDs(ctx, c.ID)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(app.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, processTitles)
	for _, pid := range pids {
		if row, ok := processRow(pid); ok {
			fmt.Fprintln(w, row)
		}
	}
	return w.Flush()
}

// clockTicks is USER_HZ, which is 100 on every Linux that Go runs on.
const clockTicks = 100

// processRow is one process as `ps -ef` shows it. It may have ended meanwhile.
func processRow(pid int) (string, bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return "", false
	}
	open, closing := strings.IndexByte(string(stat), '('), strings.LastIndexByte(string(stat), ')')
	f := strings.Fields(string(stat[closing+1:]))
	if open < 0 || len(f) < 20 {
		return "", false
	}
	command := "[" + string(stat[open+1:closing]) + "]"
	if line, err := os.ReadFile(dir + "/cmdline"); err == nil && len(line) > 0 {
		command = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
	}
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(f[i], 10, 64)
		return n
	}
	used := time.Duration(number(11)+number(12)) * time.Second / clockTicks
	started := bootTime().Add(time.Duration(number(19)) * time.Second / clockTicks)
	share := 0
	if age := time.Since(started); age > 0 {
		share = int(100 * used / age)
	}
	tty := "?"
	if n := number(4); n != 0 {
		tty = "pts/" + strconv.FormatInt(n&0xff|(n>>12)&0xfff00, 10)
	}
	return fmt.Sprintf("%s\t%d\t%s\t%d\t%s\t%s\t%02d:%02d:%02d\t%s", owner(dir), pid, f[1], share, started.Format("15:04"), tty,
		int(used.Hours()), int(used.Minutes())%60, int(used.Seconds())%60, command), true
}

func owner(dir string) string {
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return "?"
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Uid:" {
			if u, err := user.LookupId(f[1]); err == nil {
				return u.Username
			}
			return f[1]
		}
	}
	return "?"
}

func bootTime() time.Time {
	data, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return time.Now()
	}
	up, _, _ := strings.Cut(string(data), " ")
	seconds, _ := strconv.ParseFloat(up, 64)
	return time.Now().Add(-time.Duration(seconds * float64(time.Second)))
}
