package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
	"compose/engine/image"
	"compose/internal/roots"
	"compose/netbridge"
)

// load reads a Compose file as the real loader does.
func load(t *testing.T, yaml string, profiles ...string) *types.Project {
	t.Helper()
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  "/src",
		ConfigFiles: []types.ConfigFile{{Filename: "/src/compose.yaml", Content: []byte(yaml)}},
		Environment: types.Mapping{"TOKEN": "s3cret"},
	}, func(o *loader.Options) {
		o.SetProjectName("shop", true)
		o.Profiles = profiles
	})
	if err != nil {
		t.Fatal(err)
	}
	p.ComposeFiles = []string{"/src/compose.yaml"}
	return p
}

// fakeHost is a host in memory. Its containers run the moment they start.
type fakeHost struct {
	mu         sync.Mutex
	containers map[string]*engine.Container
	states     map[string]*engine.State
	networks   map[string]*netbridge.Network
	volumes    map[string]*Volume
	images     map[string]string
	busy       []netbridge.PortMapping // ports that something else holds
	log        []string
	next       int
	onNetwork  func() error // before a network is made
	onUnwire   func() error // before a network is removed
	onCreate   func()       // when a container's making begins
	onRemove   func()       // when a container's removal begins
	onStart    func(c *engine.Container, s *engine.State) error
	onKill     func(id string) error // before a signal is sent
	onAttach   func() error          // before somebody is connected
	onStop     func(id string) error // when a container has stopped
	onWait     func(c *engine.Container, s *engine.State)
	running    int // operations under way, and the most there were
	most       int
	events     []chan LifeEvent
	supervised bool
}

func newFakeHost() *fakeHost {
	return &fakeHost{
		containers: map[string]*engine.Container{}, states: map[string]*engine.State{},
		networks: map[string]*netbridge.Network{}, volumes: map[string]*Volume{}, images: map[string]string{},
	}
}

func (h *fakeHost) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

func (h *fakeHost) lock() func() {
	h.mu.Lock()
	return h.mu.Unlock
}

func (h *fakeHost) Containers(_ context.Context, project string) ([]*engine.Container, error) {
	defer h.lock()()
	var out []*engine.Container
	for _, c := range h.containers {
		if c.Spec.Labels[LabelProject] == project {
			out = append(out, c)
		}
	}
	return out, nil
}

func (h *fakeHost) Container(_ context.Context, ref string) (*engine.Container, error) {
	defer h.lock()()
	for _, c := range h.containers {
		if c.ID == ref || c.Spec.Name == ref {
			return c, nil
		}
	}
	return nil, fs.ErrNotExist
}

func (h *fakeHost) State(id string) (*engine.State, error) {
	defer h.lock()()
	if s, ok := h.states[id]; ok {
		c := *s
		return &c, nil
	}
	return nil, fs.ErrNotExist
}

func (h *fakeHost) CreateContainer(_ context.Context, spec engine.ContainerSpec, ready func() error) (*engine.Container, error) {
	if h.onCreate != nil {
		h.onCreate()
	}
	if ready != nil {
		if err := ready(); err != nil {
			return nil, err
		}
	}
	defer h.lock()()
	for _, c := range h.containers {
		if c.Spec.Name == spec.Name {
			return nil, fmt.Errorf("the name %s is taken", spec.Name)
		}
	}
	h.next++
	c := &engine.Container{ID: fmt.Sprintf("%064x", h.next), ImageID: h.images[spec.Image], Spec: spec, Created: time.Unix(int64(h.next), 0)}
	h.containers[c.ID] = c
	h.states[c.ID] = &engine.State{Status: engine.Created}
	h.note("create %s", spec.Name)
	return c, nil
}

func (h *fakeHost) RenameContainer(_ context.Context, id, name string) error {
	defer h.lock()()
	c := *h.containers[id]
	h.note("rename %s %s", c.Spec.Name, name)
	c.Spec.Name = name
	h.containers[id] = &c
	return nil
}

func (h *fakeHost) Network(_ context.Context, name string) (*netbridge.Network, error) {
	defer h.lock()()
	return h.networks[name], nil
}

func (h *fakeHost) Networks(context.Context) ([]*netbridge.Network, error) {
	defer h.lock()()
	var out []*netbridge.Network
	for _, n := range h.networks {
		out = append(out, n)
	}
	return out, nil
}

func (h *fakeHost) CreateNetwork(_ context.Context, c netbridge.NetworkConfig) error {
	if h.onNetwork != nil {
		if err := h.onNetwork(); err != nil {
			return err
		}
	}
	defer h.lock()()
	h.networks[c.Name] = &netbridge.Network{Name: c.Name, Labels: c.Labels, Internal: c.Internal, Subnets: c.Subnets, Options: c.Options}
	h.note("create network %s", c.Name)
	return nil
}

func (h *fakeHost) RemoveNetwork(_ context.Context, name string) error {
	if h.onUnwire != nil {
		if err := h.onUnwire(); err != nil {
			return err
		}
	}
	defer h.lock()()
	for _, c := range h.containers {
		if slices.ContainsFunc(c.Spec.Networks, onNetwork(name)) && h.states[c.ID].Status == engine.Running {
			return ErrInUse
		}
	}
	delete(h.networks, name)
	h.note("remove network %s", name)
	return nil
}

func (h *fakeHost) Volume(_ context.Context, name string) (*Volume, error) {
	defer h.lock()()
	return h.volumes[name], nil
}

func (h *fakeHost) Volumes(context.Context) ([]*Volume, error) {
	defer h.lock()()
	var out []*Volume
	for _, v := range h.volumes {
		out = append(out, v)
	}
	return out, nil
}

func (h *fakeHost) CreateVolume(_ context.Context, name string, _ types.VolumeConfig, labels map[string]string) error {
	defer h.lock()()
	h.volumes[name] = &Volume{Name: name, Labels: labels}
	h.note("create volume %s", name)
	return nil
}

func (h *fakeHost) RemoveVolume(_ context.Context, name string) error {
	defer h.lock()()
	delete(h.volumes, name)
	h.note("remove volume %s", name)
	return nil
}

func (h *fakeHost) ImageID(_ context.Context, ref string) (string, error) {
	defer h.lock()()
	return h.images[ref], nil
}

func (h *fakeHost) RemoveImage(_ context.Context, ref string) error {
	defer h.lock()()
	delete(h.images, ref)
	h.note("remove image %s", ref)
	return nil
}

func (h *fakeHost) PushImage(context.Context, string, Reporter) error { return nil }

func (h *fakeHost) PullImage(_ context.Context, ref, _ string, _ Reporter) error {
	defer h.lock()()
	h.note("pull %s", ref)
	if strings.HasPrefix(ref, "missing") {
		return errors.New("manifest unknown")
	}
	h.images[ref] = "sha256:" + ref
	return nil
}

func (h *fakeHost) Image(context.Context, string) (*image.Image, error) { return &image.Image{}, nil }
func (h *fakeHost) PIDs(context.Context, string) ([]int, error)         { return nil, nil }

func (h *fakeHost) BuildImage(_ context.Context, p *types.Project, s types.ServiceConfig, _ BuildOptions) error {
	defer h.lock()()
	h.note("build %s", imageName(p, s))
	h.images[imageName(p, s)] = "sha256:built-" + s.Name
	return nil
}

func (h *fakeHost) CheckPorts(list []netbridge.PortMapping, except ...string) error {
	for _, m := range list {
		if slices.ContainsFunc(except, func(id string) bool {
			return slices.ContainsFunc(h.states[id].Ports, func(p netbridge.PublishedPort) bool { return p.HostPort == m.HostPort })
		}) {
			continue
		}
		for _, b := range h.busy {
			if clash(m, b) {
				return fmt.Errorf("port %d is taken", m.HostPort)
			}
		}
	}
	return nil
}

func (h *fakeHost) Supervisor(context.Context, string) (Supervisor, error) {
	return (*fakeSupervisor)(h), nil
}

func (h *fakeHost) RunningSupervisor(context.Context, string) (Supervisor, error) {
	if h.supervised {
		return (*fakeSupervisor)(h), nil
	}
	return nil, nil
}

func (h *fakeHost) RemoveContainer(_ context.Context, id string, _ bool) error {
	if h.onRemove != nil {
		h.onRemove()
	}
	defer h.lock()()
	c, ok := h.containers[id]
	if !ok {
		return fs.ErrNotExist
	}
	if h.states[id].Status == engine.Running {
		return fmt.Errorf("%s runs", c.Spec.Name)
	}
	delete(h.containers, id)
	delete(h.states, id)
	h.note("remove %s", c.Spec.Name)
	return nil
}

// rig is an orchestrator on a fake host, with what it said.
type rig struct {
	*Orchestrator
	t        *testing.T
	host     *fakeHost
	mu       sync.Mutex
	lines    []string
	warnings []string
}

func newRig(t *testing.T) *rig {
	dir := t.TempDir()
	r := &rig{t: t, host: newFakeHost()}
	r.Orchestrator = &Orchestrator{
		Host:  r.host,
		Roots: roots.Roots{State: dir, Run: dir + "/run"},
		Hash:  func(s types.ServiceConfig) string { return hash(origin(s)) },
		Report: func(e Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.lines = append(r.lines, strings.TrimSpace(e.ID+" "+e.Text+" "+e.Detail))
		},
		Warn: func(s string) { r.warnings = append(r.warnings, s) },
	}
	return r
}

func (r *rig) up(p *types.Project, opts UpOptions) {
	r.t.Helper()
	if err := r.Up(r.t.Context(), p, opts); err != nil {
		r.t.Fatal(err)
	}
}

// plan is what `up` would do now.
func (r *rig) plan(p *types.Project, opts UpOptions) string {
	r.t.Helper()
	var b strings.Builder
	r.DryRun = &b
	defer func() { r.DryRun = nil }()
	r.up(p, opts)
	return b.String()
}

// did is what the host was made to do since the last call, sorted where order
// is not promised.
func (r *rig) did() []string {
	r.host.mu.Lock()
	defer r.host.mu.Unlock()
	log := r.host.log
	r.host.log = nil
	return log
}

// Logs gives a line, and with Follow another when it is told to sync.
func (h *fakeHost) Logs(ctx context.Context, id string, opts LogOptions, emit func(LogLine)) error {
	h.mu.Lock()
	name := h.containers[id].Spec.Name
	h.mu.Unlock()
	if opts.Tail != 0 {
		emit(LogLine{Text: "old line of " + name + "\n"})
	}
	if !opts.Follow {
		return nil
	}
	time.Sleep(5 * time.Millisecond) // it finds its place in its own time
	h.mu.Lock()
	h.note("read %s", name)
	h.mu.Unlock()
	opts.Idle()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case fn := <-opts.Sync:
			emit(LogLine{Text: "last line of " + name + "\n"})
			if !fn() {
				return nil
			}
		}
	}
}

// starts lets a container start by itself.
func (h *fakeHost) starts(name string) {
	defer h.lock()()
	for id, c := range h.containers {
		if c.Spec.Name == name {
			h.states[id].Status = engine.Running
			for _, ch := range h.events {
				ch <- LifeEvent{ID: id, Action: "start"}
			}
		}
	}
}

// ends lets a container end by itself.
func (h *fakeHost) ends(name string, code int, status engine.Status) {
	defer h.lock()()
	for id, c := range h.containers {
		if c.Spec.Name == name {
			h.states[id].Status, h.states[id].ExitCode, h.states[id].FinishedAt = status, code, time.Now()
			for _, ch := range h.events {
				ch <- LifeEvent{ID: id, Action: "die", ExitCode: code, Restarting: status == engine.Restarting}
			}
		}
	}
}

// sink keeps log lines.
type sink struct {
	mu    sync.Mutex
	lines []string
}

func (s *sink) Register(...string) {}
func (s *sink) Flush()             {}

func (s *sink) Line(name, line string, _ time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, name+": "+strings.TrimSpace(line))
}

func (s *sink) Status(name, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, name+" "+what)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func (h *fakeHost) Exec(_ context.Context, id string, opts ExecOptions, _ Streams) (int, error) {
	defer h.lock()()
	h.note("exec %s %s", h.containers[id].Spec.Name, strings.Join(opts.Args, " "))
	return 0, nil
}
