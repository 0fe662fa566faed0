// Package build makes images from Dockerfiles.
//
// BuildKit's own frontend turns a Dockerfile into a graph of operations (LLB);
// this package carries the graph out. Each operation that changes files
// becomes one overlay layer of the image store. What an operation gave is
// remembered under a key made of what it does and of the content it works on,
// so that an unchanged step never runs again, in whatever project and after
// whatever restart.
package build

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"compose/engine/image"
	"compose/engine/runtime"
	"compose/internal/roots"
)

// Runner runs the RUN steps of builds.
type Runner interface {
	// Begin says that a build begins.
	Begin() Steps
}

// Steps runs the RUN steps of one build.
type Steps interface {
	// Expect says that n more steps with a network of their own (or fewer,
	// where it is negative) will be run. What they need may be made ahead, and
	// given back after the last of them.
	Expect(n int)
	// Run runs the process of a step, whether it was expected or not, in a
	// container of its own and waits for its end. It returns *ExitError where
	// the process has ended with another code than 0, and the context's error,
	// with nothing left, where that ends.
	Run(ctx context.Context, spec RunSpec) error
	// End must be called after the last step. It gives back what the steps have
	// shared and waits for that.
	End() error
}

// RunSpec is one RUN step.
type RunSpec struct {
	RootFS       runtime.RootFS
	Args         []string
	Env          []string // complete: there is no image to add to it
	Dir          string   // made if it is missing
	User         string   // "user[:group]", names or numbers, resolved in RootFS; "" is root
	Hostname     string   // "": the runner's choice
	ExtraHosts   []string // "name:address"
	Network      string   // "": with a way out to the world; "none"; "host"
	Mounts       []specs.Mount
	Privileged   bool
	Ulimits      []specs.POSIXRlimit // Type "RLIMIT_NOFILE"
	CgroupParent string              // "": the runner's choice
	Stdout       io.Writer
	Stderr       io.Writer
}

// Options say what is built and how.
type Options struct {
	Context string // directory, or the address of a repository or archive
	// ContextArchive is an archive with the context, in the place of Context.
	ContextArchive string
	Contexts       map[string]string // named: a directory, docker-image://<ref> or an address
	Dockerfile     string            // path, relative to Context; "": Dockerfile
	Inline         []byte            // a Dockerfile's text, instead
	Target         string            // stage; "": the last
	Args           map[string]string
	Labels         map[string]string
	Tags           []string
	Platform       string // "os/arch[/variant]"; "": this host's
	NoCache        bool
	NoCacheFilter  []string // only these stages are made anew
	Pull           bool     // look for newer base images
	CacheFrom      []CacheRef
	CacheTo        []CacheRef
	ShmSize        int64    // bytes; 0: 64 MiB
	ExtraHosts     []string // "name:address" or "name=address"
	Network        string   // for RUN: "", "default", "none", "host"
	Ulimits        []string // "nofile=1024:2048"
	CgroupParent   string   // the cgroup above those of RUN steps; "": the engine's choice
	Privileged     bool     // RUN --security=insecure is allowed
	Secrets        map[string]Secret
	SSH            map[string]string // ID -> socket of an agent
	CheckOnly      bool              // read the Dockerfile, report what the linter finds, and build nothing
	Progress       func(Event)       // may be called from several goroutines; nil: nobody listens
}

// Secret is what a RUN --mount=type=secret shows: the content of File, or Data.
type Secret struct {
	File string
	Data []byte
}

// Event is news of one vertex of the build, in BuildKit's manner.
type Event struct {
	Vertex    digest.Digest
	Name      string // "[2/4] RUN make"
	Started   *time.Time
	Completed *time.Time
	Cached    bool
	Error     string // in the event that completes a vertex that failed
	Log       []byte // output, in pieces as they come
	LogStream int    // 1 stdout, 2 stderr
	LogTime   time.Time
	Status    *Status
	Warning   *Warning
}

// Status is the progress of something a vertex waits for, a layer's download.
type Status struct {
	ID             string
	Text           string
	Current, Total int64 // bytes
	Done           bool
}

// Warning is a finding of the Dockerfile linter.
type Warning struct {
	Rule    string
	Message string
	Detail  string
	URL     string
	File    string
	Line    int
}

// Builder builds images for one root.
type Builder struct {
	store  *image.Store
	runner Runner
	roots  roots.Roots
}

// New returns a builder that keeps its images in store and has the RUN steps
// run by runner.
func New(store *image.Store, runner Runner, r roots.Roots) *Builder {
	return &Builder{store: store, runner: runner, roots: r}
}
