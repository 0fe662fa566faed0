package render

import (
	"io"
	"time"

	"compose/orchestrator"
)

// ContainerLine is a container as `container ls` prints it. The names of its
// fields are those of Docker's JSON and templates.
type ContainerLine struct {
	Command      string
	CreatedAt    string
	ID           string
	Image        string
	Labels       string
	LocalVolumes string
	Mounts       string
	Names        string
	Networks     string
	Ports        string
	RunningFor   string
	Size         string
	State        string
	Status       string

	labels map[string]string
}

// Label is for templates: {{.Label "name"}}.
func (r *ContainerLine) Label(name string) string { return r.labels[name] }

// NewContainerLine describes a container at a moment.
func NewContainerLine(c *orchestrator.Container, now time.Time, truncate bool) *ContainerLine {
	r := NewContainerRow(c, now, truncate)
	return &ContainerLine{
		Command: r.Command, CreatedAt: r.CreatedAt, ID: r.ID, Image: r.Image, Labels: r.Labels, LocalVolumes: r.LocalVolumes,
		Mounts: r.Mounts, Names: r.Names, Networks: r.Networks, Ports: r.Ports, RunningFor: r.RunningFor, Size: r.Size,
		State: r.State, Status: r.Status, labels: r.labels,
	}
}

const containerLines = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"

// ContainerLines prints the rows of `container ls` as --format asks.
func ContainerLines(w io.Writer, format string, size bool, rows []*ContainerLine) error {
	if format == "" || format == "table" {
		if format = containerLines; size {
			format += "\t{{.Size}}"
		}
	}
	return Rows(w, format, containerColumns, rows)
}
