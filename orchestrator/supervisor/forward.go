package supervisor

import (
	"fmt"
	"os"

	"compose/orchestrator/logs/forward"
)

// cachedLog is how much is kept here of what is sent to another log service,
// for `logs`: as much as Docker keeps.
var cachedLog = map[string]string{"max-size": "20m", "max-file": "5"}

// openForward connects to the log service that the container's output goes to;
// nil stands for none.
func (c *container) openForward() (*forward.Forward, error) {
	s := &c.cfg.Spec
	if !forward.Is(s.Log.Driver) {
		return nil, nil
	}
	return forward.Open(s.Log.Driver, s.Log.Options, forward.Container{
		ID: c.id, Name: s.Name, ImageID: c.cfg.ImageID, ImageName: s.Image, Labels: s.Labels, Env: s.Env,
	}, func(err error) {
		fmt.Fprintf(os.Stderr, "supervisor: container %s: lines for %s are lost: %v\n", s.Name, s.Log.Driver, err)
	})
}
