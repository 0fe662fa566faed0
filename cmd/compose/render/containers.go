package render

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"compose/engine"
	"compose/orchestrator"
)

// ContainerRow is a container as `ps` prints it. The names of its fields are
// those of Docker Compose's JSON and templates.
type ContainerRow struct {
	Command      string
	CreatedAt    string
	Engine       string
	ExitCode     int
	Health       string
	ID           string
	Image        string
	Labels       string
	LocalVolumes string
	Mounts       string
	Name         string
	Names        string
	Networks     string
	Ports        string
	Project      string
	Publishers   []Publisher
	RunningFor   string
	Service      string
	Size         string
	State        string
	Status       string

	labels map[string]string
}

// Publisher is one port of a container, published or not.
type Publisher struct {
	URL           string
	TargetPort    int
	PublishedPort int
	Protocol      string
}

// Label is for templates: {{.Label "name"}}.
func (r *ContainerRow) Label(name string) string { return r.labels[name] }

// NewContainerRow describes a container at a moment.
func NewContainerRow(c *orchestrator.Container, now time.Time, truncate bool) *ContainerRow {
	r := &ContainerRow{
		ID:           c.ID,
		Name:         c.Name(),
		Names:        c.Name(),
		Image:        c.Spec.Image,
		Project:      c.Label(orchestrator.LabelProject),
		Service:      c.Service,
		State:        string(c.State.Status),
		Status:       status(c.State, now),
		CreatedAt:    c.Created.Local().Truncate(time.Second).String(),
		RunningFor:   units.HumanDuration(now.Sub(c.Created)) + " ago",
		Publishers:   publishers(c),
		Size:         "0B",
		LocalVolumes: "0",
		labels:       c.Spec.Labels,
	}
	words := slices.Concat(c.Spec.Entrypoint, c.Spec.Command)
	for i, w := range words {
		if i > 0 && strings.Contains(w, " ") {
			words[i] = "'" + w + "'"
		}
	}
	command := strings.Join(words, " ")
	if truncate {
		r.ID = r.ID[:min(12, len(r.ID))]
		command = ellipsis(command, 20)
	}
	r.Command = strconv.Quote(command)
	switch c.State.Status {
	case engine.Running:
		if c.State.Health != nil {
			r.Health = c.State.Health.Status
		}
	case engine.Exited, engine.Dead:
		r.ExitCode = c.State.ExitCode
	}
	labels := make([]string, 0, len(c.Spec.Labels))
	for k, v := range c.Spec.Labels {
		labels = append(labels, k+"="+v)
	}
	slices.Sort(labels)
	r.Labels = strings.Join(labels, ",")
	var mounts, networks []string
	local := 0
	for _, m := range c.Spec.Mounts {
		if m.Type == "volume" {
			local++
		}
		if m.Source != "" {
			name := m.Source
			if truncate {
				name = ellipsis(name, 15)
			}
			mounts = append(mounts, name)
		}
	}
	for _, n := range c.Spec.Networks {
		networks = append(networks, n.Network)
	}
	r.Mounts, r.Networks, r.LocalVolumes = strings.Join(mounts, ","), strings.Join(networks, ","), strconv.Itoa(local)
	r.Ports = PortsColumn(r.Publishers)
	return r
}

func ellipsis(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// status says where a container is in its life, as `docker ps` does.
func status(s *engine.State, now time.Time) string {
	ago := func(t time.Time) string { return units.HumanDuration(now.Sub(t)) }
	switch s.Status {
	case engine.Paused:
		return "Up " + ago(s.StartedAt) + " (Paused)"
	case engine.Restarting:
		return fmt.Sprintf("Restarting (%d) %s ago", s.ExitCode, ago(s.FinishedAt))
	case engine.Running:
		up := "Up " + ago(s.StartedAt)
		if s.Health == nil {
			return up
		}
		if s.Health.Status == "starting" {
			return up + " (health: starting)"
		}
		return up + " (" + s.Health.Status + ")"
	case engine.Removing:
		return "Removal In Progress"
	case engine.Dead:
		return "Dead"
	case engine.Exited:
		return fmt.Sprintf("Exited (%d) %s ago", s.ExitCode, ago(s.FinishedAt))
	}
	return "Created"
}

// publishers are the ports of a container that runs: those published, then
// those it only says it listens on.
func publishers(c *orchestrator.Container) []Publisher {
	list := []Publisher{}
	if !c.Running() {
		return list
	}
	published := map[string]bool{}
	for _, p := range c.State.Ports {
		list = append(list, Publisher{URL: p.HostIP.String(), TargetPort: int(p.ContainerPort), PublishedPort: int(p.HostPort), Protocol: p.Protocol})
		published[fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol)] = true
	}
	for _, e := range c.Spec.Expose {
		port, protocol, _ := strings.Cut(e, "/")
		if n, err := strconv.Atoi(port); err == nil && !published[e] {
			list = append(list, Publisher{TargetPort: n, Protocol: cmp.Or(protocol, "tcp")})
		}
	}
	slices.SortStableFunc(list, func(a, b Publisher) int { return cmp.Compare(a.TargetPort, b.TargetPort) })
	return list
}

// PortsColumn is the ports in one line, neighbours drawn together:
// "0.0.0.0:8000-8001->80-81/tcp, 443/tcp".
func PortsColumn(list []Publisher) string {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b Publisher) int {
		return cmp.Or(
			cmp.Compare(a.Protocol, b.Protocol),
			compareIP(a.URL, b.URL),
			cmp.Compare(a.TargetPort, b.TargetPort),
			cmp.Compare(a.PublishedPort, b.PublishedPort),
		)
	})
	type span struct{ first, last Publisher }
	var spans []span
	for _, p := range sorted {
		if n := len(spans); n > 0 {
			s := &spans[n-1]
			next := s.last.TargetPort+1 == p.TargetPort && s.last.URL == p.URL && s.last.Protocol == p.Protocol
			if next && (s.last.PublishedPort == 0 && p.PublishedPort == 0 || s.last.PublishedPort != 0 && s.last.PublishedPort+1 == p.PublishedPort) {
				s.last = p
				continue
			}
		}
		spans = append(spans, span{p, p})
	}
	slices.SortStableFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.first.TargetPort, b.first.TargetPort), compareIP(a.first.URL, b.first.URL))
	})
	text := func(a, b int) string {
		if a == b {
			return strconv.Itoa(a)
		}
		return fmt.Sprintf("%d-%d", a, b)
	}
	var out []string
	for _, s := range spans {
		target := text(s.first.TargetPort, s.last.TargetPort) + "/" + s.first.Protocol
		if s.first.PublishedPort == 0 {
			out = append(out, target)
			continue
		}
		host := s.first.URL
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		out = append(out, host+":"+text(s.first.PublishedPort, s.last.PublishedPort)+"->"+target)
	}
	return strings.Join(out, ", ")
}

func compareIP(a, b string) int {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	if errX != nil || errY != nil {
		return cmp.Compare(a, b)
	}
	return x.Compare(y)
}
