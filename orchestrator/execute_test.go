package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"compose/engine"
	"compose/netbridge"
)

// TestUp carries the whole stack out and looks at the order of what was done.
func TestUp(t *testing.T) {
	r := newRig(t)
	r.host.onStart = func(c *engine.Container, s *engine.State) error {
		if c.Spec.Health != nil {
			s.Health = &engine.Health{Status: "starting"}
		}
		return nil
	}
	r.host.onWait = func(c *engine.Container, s *engine.State) {
		if s.Health != nil {
			s.Health.Status = "healthy"
		} else {
			s.Status = engine.Exited
		}
		r.host.note("met %s", c.Spec.Name)
	}
	r.up(load(t, stack), UpOptions{})
	did := r.did()
	for _, pair := range [][2]string{
		{"pull app", "create network shop_default"},
		{"create volume shop_data", "create shop-db-1"},
		{"start shop-db-1", "met shop-db-1"},
		{"met shop-db-1", "start shop-migrate-1"},
		{"met shop-migrate-1", "start shop-web-1"},
		{"start shop-cache-1", "start shop-web-2"},
	} {
		first, second := slices.Index(did, pair[0]), slices.Index(did, pair[1])
		if first < 0 || second < 0 || first > second {
			t.Errorf("%q does not come before %q in %q", pair[0], pair[1], did)
		}
	}
	for _, line := range []string{"Network shop_default Created", "Container shop-db-1 Healthy", "Container shop-migrate-1 Exited", "Container shop-web-2 Started", "Image app Pulled"} {
		if !slices.Contains(r.lines, line) {
			t.Errorf("no line %q in %q", line, r.lines)
		}
	}
}

func TestDependencyFails(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		met  func(*engine.State)
		want string // "": goes on
	}{
		"unhealthy": {
			"services: {db: {image: a, healthcheck: {test: [CMD, x]}}, web: {image: a, depends_on: {db: {condition: service_healthy}}}}",
			func(s *engine.State) { s.Health = &engine.Health{Status: "unhealthy"} },
			"dependency failed to start: container shop-db-1 is unhealthy",
		},
		"ended": {
			"services: {db: {image: a, healthcheck: {test: [CMD, x]}}, web: {image: a, depends_on: {db: {condition: service_healthy}}}}",
			func(s *engine.State) { s.Status, s.ExitCode = engine.Exited, 3 },
			"dependency failed to start: container shop-db-1 exited (3)",
		},
		"no healthcheck": {
			"services: {db: {image: a}, web: {image: a, depends_on: {db: {condition: service_healthy}}}}",
			func(s *engine.State) {},
			"dependency failed to start: container shop-db-1 has no healthcheck configured",
		},
		"not completed": {
			"services: {db: {image: a}, web: {image: a, depends_on: {db: {condition: service_completed_successfully}}}}",
			func(s *engine.State) { s.Status, s.ExitCode = engine.Exited, 3 },
			`service "db" didn't complete successfully: exit 3`,
		},
		"optional": {
			"services: {db: {image: a}, web: {image: a, depends_on: {db: {condition: service_completed_successfully, required: false}}}}",
			func(s *engine.State) { s.Status, s.ExitCode = engine.Exited, 3 },
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.host.onWait = func(_ *engine.Container, s *engine.State) { c.met(s) }
			err := r.Up(t.Context(), load(t, c.file), UpOptions{})
			if got := fmt.Sprint(err); c.want != "" && got != c.want || c.want == "" && err != nil {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if started := slices.Contains(r.did(), "start shop-web-1"); started != (c.want == "") {
				t.Errorf("web started: %t", started)
			}
		})
	}
}

// TestFailureStopsTheRest lets what is under way end, and starts nothing more.
func TestFailureStopsTheRest(t *testing.T) {
	r := newRig(t)
	boom := errors.New("boom")
	r.host.onStart = func(c *engine.Container, _ *engine.State) error {
		if c.Spec.Labels[LabelService] == "a" {
			return boom
		}
		return nil
	}
	err := r.Up(t.Context(), load(t, "services: {a: {image: i}, b: {image: i, depends_on: [a]}, c: {image: i}}"), UpOptions{})
	if !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	if did := r.did(); slices.Contains(did, "start shop-b-1") || !slices.Contains(did, "create shop-b-1") {
		t.Errorf("did %q", did)
	}
	if !slices.Contains(r.lines, "Container shop-a-1 Error boom") {
		t.Errorf("lines %q", r.lines)
	}
}

// TestSideBySide shows that independent containers start together, and no
// more than allowed.
func TestSideBySide(t *testing.T) {
	r := newRig(t)
	r.Parallel = 5
	r.up(load(t, "services: {a: {image: i, scale: 40}}"), UpOptions{})
	if r.host.most < 2 || r.host.most > 5 {
		t.Errorf("%d at once, want 2 to 5", r.host.most)
	}
}

// TestBesideTheNetwork makes a container while its network is being made. It is
// there, and told of, after the network, and never without it.
func TestBesideTheNetwork(t *testing.T) {
	boom := errors.New("boom")
	for _, fault := range []error{nil, boom} {
		for parallel, want := range map[int]bool{1: false, 2: true} {
			r := newRig(t)
			r.Parallel = parallel
			begun := make(chan struct{})
			r.host.onCreate = func() { close(begun) }
			beside := false
			r.host.onNetwork = func() error {
				select {
				case <-begun:
					beside = true
				case <-time.After(map[bool]time.Duration{true: time.Minute, false: 20 * time.Millisecond}[want]):
				}
				return fault
			}
			err := r.Up(t.Context(), load(t, "services: {a: {image: i}}"), UpOptions{})
			if !errors.Is(err, fault) || beside != want {
				t.Errorf("with %d at once, the network's error %v: got %v, side by side %v", parallel, fault, err, beside)
			}
			did, created := r.did(), slices.Index(r.lines, "Container shop-a-1 Creating")
			if fault != nil && (len(r.host.containers) > 0 || created >= 0) {
				t.Errorf("a network failed, and there is %v, lines %q", r.host.containers, r.lines)
			}
			if fault == nil && (created < slices.Index(r.lines, "Network shop_default Created") ||
				slices.Index(did, "create shop-a-1") < slices.Index(did, "create network shop_default")) {
				t.Errorf("did %q, lines %q", did, r.lines)
			}
		}
	}
}

// TestTwoCommandsAtOnce runs many `up` on one project: one does the work, the
// others find it done.
func TestTwoCommandsAtOnce(t *testing.T) {
	r := newRig(t)
	file := load(t, "services: {a: {image: i, scale: 5}, b: {image: i, depends_on: [a]}}")
	var wg sync.WaitGroup
	for range 6 {
		o := *r.Orchestrator
		o.Warn = nil
		wg.Go(func() {
			if err := o.Up(context.Background(), file, UpOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(r.host.containers); n != 6 {
		t.Errorf("%d containers, want 6", n)
	}
	starts := 0
	for _, line := range r.did() {
		if strings.HasPrefix(line, "start ") {
			starts++
		}
	}
	if starts != 6 {
		t.Errorf("%d starts, want 6", starts)
	}
}

// TestDownWhileUpWaits: a command that only waits for a condition does not
// keep others off the project.
func TestDownWhileUpWaits(t *testing.T) {
	r := newRig(t)
	waiting := make(chan struct{})
	r.host.onWait = func(*engine.Container, *engine.State) {
		select {
		case <-waiting:
		default:
			close(waiting)
		}
		r.host.mu.Unlock()
		time.Sleep(time.Millisecond)
		r.host.mu.Lock()
	}
	file := load(t, "services: {db: {image: i}, web: {image: i, depends_on: {db: {condition: service_completed_successfully}}}}")
	up := make(chan error)
	go func() { up <- r.Up(context.Background(), file, UpOptions{}) }()
	<-waiting
	second := *r.Orchestrator
	second.Report, second.Warn = nil, nil
	if err := second.Down(context.Background(), "shop", file, DownOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-up; err == nil {
		t.Error("up succeeded although everything was removed")
	}
	if n := len(r.host.containers); n != 0 {
		t.Errorf("%d containers are left", n)
	}
}

func TestCancelledUp(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	r.host.onWait = func(*engine.Container, *engine.State) { cancel() }
	err := r.Up(ctx, load(t, "services: {db: {image: i}, web: {image: i, depends_on: {db: {condition: service_completed_successfully}}}}"), UpOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestPortsAreCheckedFirst(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"taken":             {"services: {a: {image: i, ports: ['80:80']}}", "port 80 is taken"},
		"between services":  {"services: {a: {image: i, ports: ['81:80']}, b: {image: i, ports: ['127.0.0.1:81:1']}}", `port 127.0.0.1:81/tcp is published by service "a" and by service "b"; change one of them`},
		"replicas":          {"services: {a: {image: i, scale: 2, ports: ['81:80']}}", `service "a" publishes port 81/tcp from more than one container`},
		"replicas in range": {"services: {a: {image: i, scale: 2, ports: ['81-82:80']}}", ""},
		"two addresses":     {"services: {a: {image: i, ports: ['127.0.0.1:81:80']}, b: {image: i, ports: ['127.0.0.2:81:1']}}", ""},
		"tcp and udp":       {"services: {a: {image: i, ports: ['81:80', '81:80/udp']}}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.host.images["i"] = "sha256:i"
			r.host.busy = []netbridge.PortMapping{{HostPort: 80, Protocol: "tcp"}}
			err := r.Up(t.Context(), load(t, c.file), UpOptions{})
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if did := r.did(); err != nil && len(did) > 0 {
				t.Errorf("did %q", did)
			}
		})
	}
}

func TestRecreatedContainerKeepsItsPortAndVolume(t *testing.T) {
	r := newRig(t)
	volume := strings.Repeat("ab", 32)
	r.up(load(t, "services: {a: {image: i, ports: ['80:80'], volumes: [/cache]}}"), UpOptions{})
	for id, c := range r.host.containers {
		c.Spec.Mounts = []engine.Mount{{Type: "volume", Source: volume, Target: "/cache"}, {Type: "volume", Source: volume, Target: "/of-image"}}
		r.host.states[id].Ports = []netbridge.PublishedPort{{HostPort: 80, ContainerPort: 80, Protocol: "tcp"}}
	}
	r.host.busy = []netbridge.PortMapping{{HostPort: 80, Protocol: "tcp"}}
	r.up(load(t, "services: {a: {image: i, user: x, ports: ['80:80'], volumes: [/cache]}}"), UpOptions{})
	for _, c := range r.host.containers {
		if c.Spec.User != "x" || c.Spec.Name != "shop-a-1" || len(c.Spec.Mounts) != 2 || c.Spec.Mounts[0].Source != volume || c.Spec.Mounts[1].Target != "/of-image" {
			t.Errorf("got %+v", c.Spec)
		}
	}
	if len(r.host.containers) != 1 || !slices.Contains(r.lines, "Container shop-a-1 Recreated") {
		t.Errorf("%d containers; lines %q", len(r.host.containers), r.lines)
	}
}
