package orchestrator

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/go-digest"

	"compose/engine"
	"compose/engine/build"
	"compose/engine/image"
	"compose/netbridge"
)

// Host is what the orchestrator needs of a host's engine. Open gives the real
// one; tests have their own.
type Host interface {
	// Containers are those of one project.
	Containers(ctx context.Context, project string) ([]*engine.Container, error)
	// Container finds one by ID or name; its error matches fs.ErrNotExist
	// where there is none.
	Container(ctx context.Context, idOrName string) (*engine.Container, error)
	// State is what is true of a container now, read from disk.
	State(id string) (*engine.State, error)
	CreateContainer(ctx context.Context, spec engine.ContainerSpec, ready func() error) (*engine.Container, error)
	RenameContainer(ctx context.Context, id, name string) error

	// Network and Volume return nil where there is none of that name.
	Network(ctx context.Context, name string) (*netbridge.Network, error)
	Networks(ctx context.Context) ([]*netbridge.Network, error)
	CreateNetwork(ctx context.Context, c netbridge.NetworkConfig) error
	// RemoveNetwork and RemoveVolume and RemoveImage return errors that match
	// errInUse or fs.ErrNotExist.
	RemoveNetwork(ctx context.Context, name string) error
	Volume(ctx context.Context, name string) (*Volume, error)
	Volumes(ctx context.Context) ([]*Volume, error)
	CreateVolume(ctx context.Context, name string, v types.VolumeConfig, labels map[string]string) error
	RemoveVolume(ctx context.Context, name string) error

	// ImageID is "" where the host does not have the image.
	ImageID(ctx context.Context, ref string) (string, error)
	RemoveImage(ctx context.Context, ref string) error
	PullImage(ctx context.Context, ref, platform string, progress Reporter) error
	PushImage(ctx context.Context, ref string, progress Reporter) error
	Image(ctx context.Context, id string) (*image.Image, error)
	// DanglingImages are the IDs of the images that were built for a project
	// and have no name any more.
	DanglingImages(ctx context.Context, project string) ([]string, error)
	// RemoteDigest is what a registry has under a name.
	RemoteDigest(ctx context.Context, ref string) (digest.Digest, error)
	// PublishFiles stores files in a registry, and beside them copies of images.
	PublishFiles(ctx context.Context, ref string, set image.FileSet, ociVersion string, images []string) error
	BuildImage(ctx context.Context, p *types.Project, s types.ServiceConfig, opts BuildOptions) error

	// CheckPorts reports a port that something on the host holds, other than
	// the containers with the IDs in except.
	CheckPorts(ports []netbridge.PortMapping, except ...string) error

	// Supervisor is the project's, started if need be.
	Supervisor(ctx context.Context, project string) (Supervisor, error)
	// RunningSupervisor is nil where the project has none.
	RunningSupervisor(ctx context.Context, project string) (Supervisor, error)
	// RemoveContainer takes away a container that does not run and that no
	// supervisor knows.
	RemoveContainer(ctx context.Context, id string, volumes bool) error

	// Exec runs a process inside a container, in the calling process's own
	// charge, and returns its exit code once it has ended; with Detach once it
	// has started.
	Exec(ctx context.Context, id string, opts ExecOptions, streams Streams) (exitCode int, err error)

	// Sync makes paths of a container like those of the host.
	Sync(ctx context.Context, id string, list []engine.SyncPath) error

	// PIDs are a container's processes by their numbers on this host.
	PIDs(ctx context.Context, id string) ([]int, error)

	// Logs calls emit for each line that a container wrote.
	Logs(ctx context.Context, id string, opts LogOptions, emit func(LogLine)) error
}

// Supervisor looks after the containers of one project.
type Supervisor interface {
	Start(ctx context.Context, id string) error
	Stop(ctx context.Context, id, signal string, timeout *time.Duration) error
	// StopForRemoval is Stop for a container that is removed next, whose end need
	// not come to the disk before that.
	StopForRemoval(ctx context.Context, id string, timeout *time.Duration) error
	Restart(ctx context.Context, id string, timeout *time.Duration) error
	Kill(ctx context.Context, id, signal string) error
	Pause(ctx context.Context, id string) error
	Unpause(ctx context.Context, id string) error
	// Wait returns once the container meets the condition ("not-running",
	// "healthy"), with the exit code of one that has ended.
	Wait(ctx context.Context, id, condition string) (exitCode int, err error)
	Remove(ctx context.Context, id string, force, volumes bool) error
	Connect(ctx context.Context, id string, ep netbridge.EndpointConfig) error
	Disconnect(ctx context.Context, id, network string) error
	// Attach connects a container's streams until its output ends. It returns
	// once it is connected; the function it returns waits for the end.
	Attach(ctx context.Context, id string, streams Streams) (wait func() error, err error)
	Resize(ctx context.Context, id string, size WindowSize) error
	Update(ctx context.Context, id string, u engine.Update) error
	// Events are the starts, ends and removals from now on; the channel is closed
	// when the supervisor leaves or ctx is done.
	Events(ctx context.Context) (<-chan LifeEvent, error)
}

// BuildOptions say how an image is built, beyond what the service says.
type BuildOptions struct {
	NoCache bool
	Pull    bool // look for newer base images
	// Args are added to the service's own; nil stands for the environment's.
	Args     types.MappingWithEquals
	SSH      map[string]string // ID -> socket of an agent, beside the service's own
	Check    bool              // read the Dockerfile, report what the linter finds, build nothing
	Quiet    bool
	Progress func(build.Event) // nil: nobody listens
}

// Streams are the user's side of a process. A nil one is not connected.
type Streams struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Resize tells of each new size of the user's terminal. The first one is
	// there from the beginning.
	Resize <-chan WindowSize
	// Signals are passed on to the process.
	Signals <-chan os.Signal
	// Detach is closed when the user wants to leave the process to itself.
	Detach <-chan struct{}
}

// size is that of the user's terminal, if there is one and its size is news.
func (s *Streams) size() (WindowSize, bool) {
	select {
	case size := <-s.Resize:
		return size, true
	default:
		return WindowSize{}, false
	}
}

// WindowSize is that of a terminal, in characters.
type WindowSize struct{ Rows, Columns uint16 }

// ExecOptions say what Exec runs.
type ExecOptions struct {
	Args       []string
	Env        []string // "K=V"
	User       string
	WorkingDir string
	TTY        bool
	Privileged bool
	Detach     bool
}

// StartError says that a container's or an exec's program could not be run,
// with the exit code that Docker gives for it: 125, 126 or 127.
type StartError struct {
	Code    int
	Message string
}

func (e *StartError) Error() string { return e.Message }

// Volume is a named volume as far as a project cares.
type Volume struct {
	Name   string
	Labels map[string]string
}
