package engine

import (
	"maps"
	"strconv"
	"strings"

	"compose/internal/journal"
	"compose/internal/objectname"
)

// Happened writes down an event of a container, for those who follow the
// journal. Its name, image and labels are added to the attributes.
func (e *Engine) Happened(c *Container, action string, attributes map[string]string) {
	e.allHappened(c, []string{action}, attributes)
}

// allHappened is Happened for several events.
func (e *Engine) allHappened(c *Container, actions []string, attributes map[string]string) {
	all := maps.Clone(c.Spec.Labels)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, attributes)
	all["image"], all["name"] = c.Spec.Image, c.Spec.Name
	journal.AddAll(e.roots, "container", actions, c.ID, all)
}

// happenedTo is Happened for where only the ID is known; it is for defer.
func (e *Engine) happenedTo(id, action string) {
	if c, err := e.read(id); err == nil {
		e.Happened(c, action, nil)
	}
}

// execHappens writes down that a process is started in a container. What it
// returns does so for its end.
func (e *Engine) execHappens(c *Container, args []string) (ended func(exitCode int)) {
	id := objectname.NewID()
	command := strings.Join(args, " ")
	if len(args) == 1 {
		command += " " // Docker puts the program and its arguments together so
	}
	e.allHappened(c, []string{"exec_create: " + command, "exec_start: " + command}, map[string]string{"execID": id})
	return func(exitCode int) {
		e.Happened(c, "exec_die", map[string]string{"execID": id, "exitCode": strconv.Itoa(exitCode)})
	}
}
