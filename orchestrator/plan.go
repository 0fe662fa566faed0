package orchestrator

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// Plan is what is to be done: operations, and which must be done before which.
// It is data; nothing happens until it is executed.
type Plan struct {
	Steps []*Step
}

// Step is one operation of a plan.
type Step struct {
	ID     int // counts from 1 in the order of planning: a step comes after all that it waits for
	Op     Operation
	Reason string // why it is to be done, for --dry-run
	After  []*Step
	Beside []*Step // it begins when these have begun, and does not end before they are done

	// quiet: a middle step of a recreation, of which the first and the last tell.
	quiet bool
}

// Operation is one of the types below. Its String says what it does.
type Operation interface{ String() string }

// The operations.
type (
	// PullImage fetches a service's image from its registry.
	PullImage struct{ Service, Image, Platform string }
	// BuildImage builds a service's image.
	BuildImage struct {
		Service types.ServiceConfig
		Image   string
	}
	// PushImage sends an image to its registry.
	PushImage struct{ Image string }
	// RemoveImage takes a name off an image, and the image away with the last.
	RemoveImage struct{ Image string }
	// CreateNetwork makes a network of the project.
	CreateNetwork struct {
		Key    string
		Config types.NetworkConfig
	}
	// RemoveNetwork takes a network away. With KeepInUse one that others use
	// stays, with a warning.
	RemoveNetwork struct {
		Name      string
		KeepInUse bool
	}
	// CreateVolume makes a volume of the project.
	CreateVolume struct {
		Key    string
		Config types.VolumeConfig
	}
	// RemoveVolume takes a volume and its content away.
	RemoveVolume struct{ Name string }
	// CreateContainer makes a container of a service. One that replaces
	// another is made under a name of its own first.
	CreateContainer struct {
		Instance  *Instance
		Service   types.ServiceConfig
		Hash      string
		Replaces  *Instance // nil: none
		RenewAnon bool      // do not take over the replaced one's anonymous volumes
	}
	// RenameContainer gives a replacement its final name.
	RenameContainer struct {
		Instance *Instance
		Name     string
	}
	// StartContainer starts a container and returns once its process runs.
	StartContainer struct{ Instance *Instance }
	// StopContainer asks a container to end, and ends it after its grace period.
	StopContainer struct {
		Instance *Instance
		Timeout  *time.Duration // nil: the container's own
		Removal  bool           // its removal follows
	}
	// RestartContainer stops and starts a container.
	RestartContainer struct {
		Instance *Instance
		Timeout  *time.Duration
	}
	// KillContainer sends a signal.
	KillContainer struct {
		Instance *Instance
		Signal   string
	}
	// PauseContainer freezes a container's processes.
	PauseContainer struct{ Instance *Instance }
	// UnpauseContainer lets them go on.
	UnpauseContainer struct{ Instance *Instance }
	// RemoveContainer takes a stopped container away.
	RemoveContainer struct {
		Instance *Instance
		Volumes  bool // its anonymous volumes too
	}
	// WaitFor waits until a service's containers meet a condition of depends_on.
	WaitFor struct {
		Service   string
		Instances []*Instance
		Condition string // of types.ServiceCondition..., or runningOrHealthy
		Required  bool   // false: a failure is a warning only
	}
)

// runningOrHealthy is what `up --wait` waits for.
const runningOrHealthy = "running_or_healthy"

// Instance is one container of a service. Its ID is empty until it is created.
type Instance struct {
	ID      string
	Name    string
	Service string
	Number  int
}

func (o PullImage) String() string     { return "pull image " + o.Image }
func (o BuildImage) String() string    { return "build image " + o.Image }
func (o PushImage) String() string     { return "push image " + o.Image }
func (o RemoveImage) String() string   { return "remove image " + o.Image }
func (o CreateNetwork) String() string { return "create network " + o.Config.Name }
func (o RemoveNetwork) String() string { return "remove network " + o.Name }
func (o CreateVolume) String() string  { return "create volume " + o.Config.Name }
func (o RemoveVolume) String() string  { return "remove volume " + o.Name }
func (o CreateContainer) String() string {
	if o.Replaces != nil {
		return "recreate " + o.Instance.Service
	}
	return "create container " + o.Instance.Name
}

func (o RenameContainer) String() string {
	return "give the name " + o.Name + " to its container"
}
func (o StartContainer) String() string   { return "start container " + o.Instance.Name }
func (o StopContainer) String() string    { return "stop container " + o.Instance.Name }
func (o RestartContainer) String() string { return "restart container " + o.Instance.Name }
func (o KillContainer) String() string {
	return "send " + o.Signal + " to container " + o.Instance.Name
}
func (o PauseContainer) String() string   { return "pause container " + o.Instance.Name }
func (o UnpauseContainer) String() string { return "unpause container " + o.Instance.Name }
func (o RemoveContainer) String() string  { return "remove container " + o.Instance.Name }
func (o WaitFor) String() string {
	what := "to run"
	switch o.Condition {
	case types.ServiceConditionHealthy:
		what = "to be healthy"
	case types.ServiceConditionCompletedSuccessfully:
		what = "to complete successfully"
	case runningOrHealthy:
		what = "to run or be healthy"
	}
	return "wait for service " + o.Service + " " + what
}

// add appends a step that waits for others; nil ones do not count.
func (p *Plan) add(op Operation, reason string, after ...*Step) *Step {
	s := &Step{ID: len(p.Steps) + 1, Op: op, Reason: reason}
	for _, a := range after {
		if a != nil && !slices.Contains(s.After, a) {
			s.After = append(s.After, a)
		}
	}
	p.Steps = append(p.Steps, s)
	return s
}

// then is the plan that does next once all of p is done.
func (p *Plan) then(next *Plan) *Plan {
	out := &Plan{Steps: slices.Clone(p.Steps)}
	for _, s := range next.Steps {
		if s.ID = len(out.Steps) + 1; len(s.After)+len(s.Beside) == 0 {
			s.After = p.Steps
		}
		out.Steps = append(out.Steps, s)
	}
	return out
}

// split parts what makes things from what starts containers and waits for
// them. Nothing of the first part waits for anything of the second.
func (p *Plan) split() (make, start *Plan) {
	make, start = &Plan{}, &Plan{}
	for _, s := range p.Steps {
		switch s.Op.(type) {
		case StartContainer, UnpauseContainer, WaitFor, RunPreStart:
			start.Steps = append(start.Steps, s)
		default:
			make.Steps = append(make.Steps, s)
		}
	}
	for _, s := range start.Steps {
		s.After = slices.DeleteFunc(slices.Clone(s.After), func(a *Step) bool { return !slices.Contains(start.Steps, a) })
	}
	return make, start
}

// Empty says that there is nothing to do.
func (p *Plan) Empty() bool { return p == nil || len(p.Steps) == 0 }

// Print writes the plan, a step a line: its number, what it does, why, and
// which steps it waits for.
func (p *Plan) Print(w io.Writer) error {
	var b strings.Builder
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "%d. %s", s.ID, s.Op)
		if op, ok := s.Op.(CreateContainer); ok && op.Replaces != nil {
			fmt.Fprintf(&b, ": %s (container %s)", s.Reason, op.Instance.Name)
		} else if s.Reason != "" {
			fmt.Fprintf(&b, " (%s)", s.Reason)
		}
		if before := append(slices.Clone(s.Beside), s.After...); len(before) > 0 {
			ids := make([]int, len(before))
			for i, a := range before {
				ids[i] = a.ID
			}
			slices.Sort(ids)
			fmt.Fprintf(&b, " after %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(ids), " ", ", "), "[]"))
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
