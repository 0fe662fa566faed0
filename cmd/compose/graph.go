package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"
)

// edge says that a service needs another one, and how.
type edge struct{ to, label string }

func newGraphCommand(app *App) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "graph [OPTIONS] [SERVICE...]",
		Short: "Print which services need which",
		RunE: func(cmd *cobra.Command, services []string) error {
			draw := map[string]func(io.Writer, []string, map[string][]edge) error{"text": graphText, "mermaid": graphMermaid, "dot": graphDot}[format]
			if draw == nil {
				return fmt.Errorf("invalid --format value %q: use text, mermaid or dot", format)
			}
			p, err := app.load(cmd.Context(), services)
			if err != nil {
				return err
			}
			edges := map[string][]edge{}
			for name, s := range p.Services {
				edges[name] = needs(s)
			}
			return draw(app.Stdout, slices.Sorted(maps.Keys(p.Services)), edges)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", `"text", "mermaid" or "dot"`)
	return cmd
}

// needs are the edges of one service, by name.
func needs(s types.ServiceConfig) []edge {
	labels := map[string][]string{}
	for name, d := range s.DependsOn {
		label := d.Condition
		if !d.Required {
			label += ", optional"
		}
		labels[name] = append(labels[name], label)
	}
	for what, ref := range map[string]string{"network_mode": s.NetworkMode, "pid": s.Pid, "ipc": s.Ipc} {
		if name, ok := strings.CutPrefix(ref, types.ServicePrefix); ok {
			labels[name] = append(labels[name], what)
		}
	}
	for _, from := range s.VolumesFrom {
		if name, _, _ := strings.Cut(from, ":"); name != "container" {
			labels[name] = append(labels[name], "volumes_from")
		}
	}
	for _, link := range s.Links {
		name, _, _ := strings.Cut(link, ":")
		labels[name] = append(labels[name], "links")
	}
	var out []edge
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		slices.Sort(labels[name])
		out = append(out, edge{name, strings.Join(slices.Compact(labels[name]), ", ")})
	}
	return out
}

func graphText(w io.Writer, services []string, edges map[string][]edge) error {
	for _, name := range services {
		if _, err := fmt.Fprintln(w, name); err != nil {
			return err
		}
		for i, e := range edges[name] {
			branch := "├─"
			if i == len(edges[name])-1 {
				branch = "└─"
			}
			fmt.Fprintf(w, "%s %s (%s)\n", branch, e.to, e.label)
		}
	}
	return nil
}

func graphMermaid(w io.Writer, services []string, edges map[string][]edge) error {
	id := map[string]string{}
	fmt.Fprintln(w, "graph TD")
	for i, name := range services {
		id[name] = fmt.Sprintf("s%d", i)
		fmt.Fprintf(w, "  %s[%q]\n", id[name], name)
	}
	for _, name := range services {
		for _, e := range edges[name] {
			if _, err := fmt.Fprintf(w, "  %s -->|%q| %s\n", id[name], e.label, id[e.to]); err != nil {
				return err
			}
		}
	}
	return nil
}

func graphDot(w io.Writer, services []string, edges map[string][]edge) error {
	fmt.Fprintln(w, "digraph services {")
	for _, name := range services {
		fmt.Fprintf(w, "  %q;\n", name)
		for _, e := range edges[name] {
			fmt.Fprintf(w, "  %q -> %q [label=%q];\n", name, e.to, e.label)
		}
	}
	_, err := fmt.Fprintln(w, "}")
	return err
}
