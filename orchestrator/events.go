package orchestrator

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"compose/internal/journal"
)

// ContainerEvent is something that happened to a container of a project.
type ContainerEvent struct {
	Time       time.Time
	ID         string
	Service    string
	Action     string // "create", "start", "die", "health_status: healthy", ...
	Attributes map[string]string
}

// Events calls emit for what happens to the containers of a project from since
// on, until ctx ends or until has come; a zero since is now, a zero until never.
// It is told what all commands and supervisors of this installation have done,
// as far back as the journal goes.
func (o *Orchestrator) Events(ctx context.Context, sel Selection, since, until time.Time, emit func(ContainerEvent) error) error {
	for _, name := range sel.Services {
		if sel.Project != nil && !hasService(sel.Project, name) {
			return NoSuchServiceError(name)
		}
	}
	return journal.Follow(ctx, o.Roots, since, until, func(e journal.Event) error {
		service := e.Attributes[LabelService]
		switch {
		case e.Type != "container", e.Attributes[LabelProject] != sel.Name, e.Attributes[LabelOneOff] == "True":
			return nil
		case len(sel.Services) > 0 && !slices.Contains(sel.Services, service):
			return nil
		}
		attributes := maps.Clone(e.Attributes)
		maps.DeleteFunc(attributes, func(k, _ string) bool { return strings.HasPrefix(k, "com.docker.compose.") })
		return emit(ContainerEvent{Time: e.Time, ID: e.ID, Service: service, Action: e.Action, Attributes: attributes})
	})
}
