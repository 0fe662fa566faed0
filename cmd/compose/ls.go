package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/orchestrator"
)

// projectRow is a project as `ls` prints it.
type projectRow struct {
	Name        string
	Status      string
	ConfigFiles string
}

func newLsCommand(app *App) *cobra.Command {
	var all, quiet bool
	var format string
	var filters []string
	cmd := &cobra.Command{
		Use:   "ls [OPTIONS]",
		Short: "List projects",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var names []*regexp.Regexp
			for _, f := range filters {
				key, value, ok := strings.Cut(f, "=")
				if !ok || key != "name" {
					return fmt.Errorf("invalid filter %q; use name=PATTERN", f)
				}
				re, err := regexp.Compile(value)
				if err != nil {
					return fmt.Errorf("--filter: %w", err)
				}
				names = append(names, re)
			}
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			containers, err := s.Everything(cmd.Context())
			if err != nil {
				return err
			}
			rows := projectRows(containers, all)
			rows = slices.DeleteFunc(rows, func(r *projectRow) bool {
				return slices.ContainsFunc(names, func(re *regexp.Regexp) bool { return !re.MatchString(r.Name) })
			})
			return app.printProjects(rows, quiet, format)
		},
	}
	fl := cmd.Flags()
	fl.BoolVarP(&all, "all", "a", false, "Also projects of which nothing runs")
	fl.BoolVarP(&quiet, "quiet", "q", false, "Only names")
	fl.StringVar(&format, "format", "table", `"table" or "json"`)
	fl.StringArrayVar(&filters, "filter", nil, "Only projects whose name matches, as name=PATTERN (repeatable)")
	return cmd
}

func (app *App) printProjects(rows []*projectRow, quiet bool, format string) error {
	if quiet {
		for _, r := range rows {
			fmt.Fprintln(app.Stdout, r.Name)
		}
		return nil
	}
	switch format {
	case "json":
		return render.JSONArray(app.Stdout, rows)
	case "table", "":
		return render.Rows(app.Stdout, "table {{.Name}}\t{{.Status}}\t{{.ConfigFiles}}",
			render.Columns{"Name": "NAME", "Status": "STATUS", "ConfigFiles": "CONFIG FILES"}, rows)
	}
	return errors.New(`--format: use "table" or "json"`)
}

// projectRows sums containers up by project.
func projectRows(containers []*orchestrator.Container, all bool) []*projectRow {
	type sum struct {
		row    *projectRow
		states map[string]int
	}
	sums := map[string]*sum{}
	for _, c := range containers {
		name := c.Label(orchestrator.LabelProject)
		if name == "" || !all && !c.Running() {
			continue
		}
		s := sums[name]
		if s == nil {
			s = &sum{row: &projectRow{Name: name}, states: map[string]int{}}
			sums[name] = s
		}
		s.states[string(c.State.Status)]++
		if files := c.Label(orchestrator.LabelConfigFiles); files != "" {
			s.row.ConfigFiles = files
		}
	}
	var rows []*projectRow
	for _, s := range sums {
		var parts []string
		for state, n := range s.states {
			parts = append(parts, fmt.Sprintf("%s(%d)", state, n))
		}
		slices.Sort(parts)
		s.row.Status = strings.Join(parts, ", ")
		rows = append(rows, s.row)
	}
	slices.SortFunc(rows, func(a, b *projectRow) int { return cmp.Compare(a.Name, b.Name) })
	return rows
}
