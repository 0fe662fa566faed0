package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/orchestrator"
)

func newContainerLsCommand(app *App) *cobra.Command {
	var all, quiet, latest, size, noTrunc bool
	var last int
	var format string
	var words *[]string
	cmd := &cobra.Command{
		Use:   "ps [OPTIONS]",
		Short: "List containers",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			want, err := parseFilters(*words, "id", "name", "label", "exited", "status", "ancestor", "before", "since", "volume", "network", "publish", "expose", "health")
			if err != nil {
				return err
			}
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			list, err := s.Everything(cmd.Context())
			if err != nil {
				return err
			}
			slices.SortStableFunc(list, func(a, b *orchestrator.Container) int { return b.Created.Compare(a.Created) })
			if latest {
				last = 1
			}
			pick := containerFilter{filters: want, all: all || last > 0 || want["status"] != nil || want["exited"] != nil, list: list, images: s.Host}
			if list, err = pick.apply(cmd.Context()); err != nil {
				return err
			}
			if last > 0 && len(list) > last {
				list = list[:last]
			}
			if quiet {
				for _, c := range list {
					id := c.ID
					if !noTrunc {
						id = id[:12]
					}
					fmt.Fprintln(app.Stdout, id)
				}
				return nil
			}
			rows := make([]*render.ContainerLine, len(list))
			for i, c := range list {
				rows[i] = render.NewContainerLine(c, time.Now(), !noTrunc)
				if size || strings.Contains(format, ".Size") {
					if rows[i].Size, err = s.containerSize(cmd.Context(), c); err != nil {
						return err
					}
				}
			}
			return render.ContainerLines(app.Stdout, format, size, rows)
		},
	}
	words = filterFlag(cmd)
	fl := cmd.Flags()
	fl.BoolVarP(&all, "all", "a", false, "Also containers that do not run")
	fl.BoolVarP(&quiet, "quiet", "q", false, "Only IDs")
	fl.BoolVarP(&latest, "latest", "l", false, "Only the container that was created last")
	fl.IntVarP(&last, "last", "n", -1, "Only so many, created last")
	fl.BoolVarP(&size, "size", "s", false, "Show how much each has written")
	fl.BoolVar(&noTrunc, "no-trunc", false, "Do not cut long values short")
	fl.StringVar(&format, "format", "", `"table", "json", "table TEMPLATE" or a Go template`)
	return cmd
}

// containerFilter chooses what `ps` lists.
type containerFilter struct {
	filters
	all    bool
	list   []*orchestrator.Container
	images imageIDs
}

func (f containerFilter) keep(c *orchestrator.Container, ancestors map[string]bool) bool {
	switch {
	case !f.all && !c.Running():
	case !f.any("id", func(v string) bool { return strings.HasPrefix(c.ID, v) }):
	case !f.any("name", func(v string) bool { return matches(v, c.Name()) }):
	case !f.labels(c.Spec.Labels):
	case !f.any("status", func(v string) bool { return string(c.State.Status) == v }):
	case !f.any("exited", func(v string) bool { return c.State.Status == "exited" && strconv.Itoa(c.State.ExitCode) == v }):
	case f.filters["ancestor"] != nil && !ancestors[c.ImageID]:
	case !f.any("volume", func(v string) bool {
		for _, m := range c.Spec.Mounts {
			if m.Source == v || m.Target == filepath.Clean(v) {
				return true
			}
		}
		return false
	}):
	case !f.any("network", func(v string) bool {
		for _, n := range c.Spec.Networks {
			if n.Network == v {
				return true
			}
		}
		return c.Spec.NetworkMode == v
	}):
	case !f.any("expose", func(v string) bool { return slices.Contains(c.Spec.Expose, withProtocol(v)) }):
	case !f.any("publish", func(v string) bool {
		for _, p := range c.Spec.Ports {
			if fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol) == withProtocol(v) {
				return true
			}
		}
		return false
	}):
	case !f.any("health", func(v string) bool {
		if c.State.Health == nil {
			return v == "none"
		}
		return c.State.Health.Status == v
	}):
	default:
		return true
	}
	return false
}

func withProtocol(port string) string {
	if strings.Contains(port, "/") {
		return port
	}
	return port + "/tcp"
}
