package orchestrator

// Event tells of something's progress, for a line on the user's screen.
type Event struct {
	ID     string // whose line: "Container shop-web-1", "Network shop_default"
	Parent string // the line above, for the layers of an image
	Status EventStatus
	Text   string // "Starting"
	Detail string
	// Current and Total are bytes, for what has a known size.
	Current, Total int64
}

// EventStatus says how a line is shown.
type EventStatus int

// The statuses of an event.
const (
	Working EventStatus = iota
	Done
	Warning
	Failed
)

// Reporter is told of each event; calls may come from several goroutines.
type Reporter func(Event)

func (r Reporter) send(id string, status EventStatus, text, detail string) {
	if r != nil {
		r(Event{ID: id, Status: status, Text: text, Detail: detail})
	}
}

// begin and end are the words for an operation on its way and done.
type words struct{ id, begin, end string }

// wordsFor is what the user reads of an operation; ok is false for those that
// tell of themselves.
func wordsFor(s *Step) (w words, ok bool) {
	if s.quiet {
		return w, false
	}
	ctr := func(i *Instance, begin, end string) (words, bool) {
		return words{"Container " + i.Name, begin, end}, true
	}
	switch op := s.Op.(type) {
	case CreateNetwork:
		return words{"Network " + op.Config.Name, "Creating", "Created"}, true
	case RemoveNetwork:
		return words{"Network " + op.Name, "Removing", "Removed"}, true
	case CreateVolume:
		return words{"Volume " + op.Config.Name, "Creating", "Created"}, true
	case RemoveVolume:
		return words{"Volume " + op.Name, "Removing", "Removed"}, true
	case RemoveImage:
		return words{"Image " + op.Image, "Removing", "Removed"}, true
	case CreateContainer:
		if op.Replaces != nil {
			return words{"Container " + op.Instance.Name, "Recreate", ""}, true
		}
		return ctr(op.Instance, "Creating", "Created")
	case RenameContainer:
		return words{"Container " + op.Name, "", "Recreated"}, true
	case StartContainer:
		return ctr(op.Instance, "Starting", "Started")
	case StopContainer:
		return ctr(op.Instance, "Stopping", "Stopped")
	case RestartContainer:
		return ctr(op.Instance, "Restarting", "Started")
	case KillContainer:
		return ctr(op.Instance, "Killing", "Killed")
	case PauseContainer:
		return ctr(op.Instance, "Pausing", "Paused")
	case UnpauseContainer:
		return ctr(op.Instance, "Unpausing", "Unpaused")
	case RemoveContainer:
		return ctr(op.Instance, "Removing", "Removed")
	}
	return w, false
}
