package orchestrator

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
)

func TestDownPlans(t *testing.T) {
	file := `
services:
  db: {image: db, volumes: ["data:/d"]}
  web: {build: ., depends_on: [db]}
  idle: {image: idle, depends_on: [web]}
volumes: {data: }
`
	for _, c := range []struct {
		name string
		opts DownOptions
		bare bool // without the file
		want string
	}{
		{"all", DownOptions{}, false, `
1. remove container shop-idle-1
2. stop container shop-web-1
3. remove container shop-web-1 after 2
4. stop container shop-db-1 after 2
5. remove container shop-db-1 after 4
6. remove network shop_default after 1, 2, 3, 4, 5
`},
		{"volumes and images", DownOptions{Volumes: true, Images: "all"}, false, `
1. remove container shop-idle-1
2. stop container shop-web-1
3. remove container shop-web-1 after 2
4. stop container shop-db-1 after 2
5. remove container shop-db-1 after 4
6. remove network shop_default after 1, 2, 3, 4, 5
7. remove volume shop_data after 1, 3, 5
8. remove image db after 1, 3, 5
9. remove image idle after 1, 3, 5
10. remove image shop-web after 1, 3, 5
`},
		{"local images, without the file", DownOptions{Volumes: true, Images: "local"}, true, `
1. remove container shop-idle-1
2. stop container shop-web-1
3. remove container shop-web-1 after 2
4. stop container shop-db-1 after 2
5. remove container shop-db-1 after 4
6. remove network shop_default after 1, 2, 3, 4, 5
7. remove volume shop_data after 1, 3, 5
8. remove image shop-web after 1, 3, 5
`},
		{"one service", DownOptions{Services: []string{"db"}}, false, `
1. stop container shop-db-1
2. remove container shop-db-1 after 1
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			p := load(t, file)
			r.up(p, UpOptions{})
			for id, ctr := range r.host.containers {
				if ctr.Spec.Name == "shop-idle-1" {
					r.host.states[id].Status = engine.Exited
				}
			}
			var b strings.Builder
			r.DryRun = &b
			if c.bare {
				p = nil
			}
			if err := r.Down(t.Context(), "shop", p, c.opts); err != nil {
				t.Fatal(err)
			}
			// Order between services that do not depend on each other is by name.
			if got := b.String(); got != strings.TrimPrefix(c.want, "\n") {
				t.Errorf("plan:\n%s\nwant:%s", got, c.want)
			}
		})
	}
}

func TestDownLeavesNothing(t *testing.T) {
	r := newRig(t)
	p := load(t, "services: {a: {image: i, volumes: ['data:/v'], secrets: [s]}}\nvolumes: {data: }\nsecrets: {s: {environment: TOKEN}}")
	r.up(p, UpOptions{})
	if err := r.Down(t.Context(), "shop", p, DownOptions{Volumes: true}); err != nil {
		t.Fatal(err)
	}
	if len(r.host.containers)+len(r.host.networks)+len(r.host.volumes) > 0 {
		t.Errorf("left %v %v %v", r.host.containers, r.host.networks, r.host.volumes)
	}
	r.warnings = nil
	if err := r.Down(t.Context(), "shop", p, DownOptions{}); err != nil || !slices.Equal(r.warnings, []string{`No resource found to remove for project "shop".`}) {
		t.Errorf("second down: %v, %q", err, r.warnings)
	}
}

// TestNetworkBesideContainers removes a network while a container that has
// stopped is being removed, and once more where that one still held it. It is
// told of after the container.
func TestNetworkBesideContainers(t *testing.T) {
	for _, held := range []bool{false, true} {
		r := newRig(t)
		r.Parallel = 2
		p := load(t, "services: {a: {image: i}}")
		r.up(p, UpOptions{})
		r.did()
		tried, tries := make(chan struct{}), 0
		r.host.onUnwire = func() error {
			if tries++; tries == 1 {
				defer close(tried)
				if held {
					return ErrInUse
				}
			}
			return nil
		}
		r.host.onRemove = func() {
			select {
			case <-tried:
			case <-time.After(10 * time.Second):
				t.Error("the network waits for the container's removal")
			}
		}
		r.lines = nil
		if err := r.Down(t.Context(), "shop", p, DownOptions{}); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"Container shop-a-1 Stopping", "Container shop-a-1 Stopped", "Container shop-a-1 Removing", "Container shop-a-1 Removed",
			"Network shop_default Removing", "Network shop_default Removed",
		}
		if !slices.Equal(r.lines, want) || len(r.host.networks) > 0 {
			t.Errorf("held: %v: lines %q, networks %v", held, r.lines, r.host.networks)
		}
	}
}

func TestVerbs(t *testing.T) {
	r := newRig(t)
	p := load(t, "services: {db: {image: i}, web: {image: i, depends_on: {db: {condition: service_started, restart: true}}}}")
	r.up(p, UpOptions{})
	r.did()
	all := Selection{Name: "shop", Project: p}
	bare := Selection{Name: "shop"}
	db := Selection{Name: "shop", Project: p, Services: []string{"db"}}
	for _, c := range []struct {
		name string
		do   func() error
		want string
	}{
		{"stop", func() error { return r.Stop(t.Context(), bare, nil) }, "stop shop-web-1, stop shop-db-1"},
		{"start", func() error { return r.Start(t.Context(), bare, StartOptions{}) }, "start shop-db-1, start shop-web-1"},
		{"restart", func() error { return r.Restart(t.Context(), all, nil, false) }, "restart shop-db-1, restart shop-web-1"},
		{"restart with dependents", func() error { return r.Restart(t.Context(), db, nil, false) }, "restart shop-db-1, restart shop-web-1"},
		{"restart without", func() error { return r.Restart(t.Context(), db, nil, true) }, "restart shop-db-1"},
		{"pause", func() error { return r.Pause(t.Context(), db) }, "pause shop-db-1"},
		{"unpause", func() error { return r.Unpause(t.Context(), all) }, "unpause shop-db-1"},
		{"kill", func() error { return r.Kill(t.Context(), db, "SIGKILL", false) }, "kill shop-db-1"},
		{"rm", func() error { return r.Remove(t.Context(), all, RemoveOptions{}) }, "remove shop-db-1"},
		{"rm -s", func() error { return r.Remove(t.Context(), all, RemoveOptions{Stop: true}) }, "stop shop-web-1, remove shop-web-1"},
	} {
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := strings.Join(r.did(), ", "); got != c.want {
			t.Errorf("%s did %q, want %q", c.name, got, c.want)
		}
	}
	if err := r.Remove(t.Context(), all, RemoveOptions{}); !errors.Is(err, ErrNothing) {
		t.Errorf("rm of nothing: %v", err)
	}
	if err := r.Stop(t.Context(), Selection{Name: "shop", Project: p, Services: []string{"nope"}}, nil); err == nil || err.Error() != "no such service: nope" {
		t.Errorf("stop nope: %v", err)
	}
	if err := r.Start(t.Context(), all, StartOptions{}); err == nil || err.Error() != `service "db" has no container to start` {
		t.Errorf("start of nothing: %v", err)
	}
}

// TestRestartOfSharers restarts containers of which some are in namespaces of
// others, which have to be there again before.
func TestRestartOfSharers(t *testing.T) {
	r := newRig(t)
	p := load(t, `services:
  a: {image: i, network_mode: "service:z", depends_on: [z]}
  b: {image: i, pid: "service:z", depends_on: [z]}
  c: {image: i, depends_on: [z]}
  z: {image: i}`)
	r.up(p, UpOptions{})
	for _, file := range []*types.Project{p, nil} {
		var b strings.Builder
		r.DryRun = &b
		if err := r.Restart(t.Context(), Selection{Name: "shop", Project: file}, nil, false); err != nil {
			t.Fatal(err)
		}
		want := `1. restart container shop-z-1
2. restart container shop-a-1 after 1
3. restart container shop-b-1 after 1
4. restart container shop-c-1
`
		if b.String() != want {
			t.Errorf("plan:\n%s\nwant:\n%s", b.String(), want)
		}
	}
}

// TestKillOfOneThatEnds sends a signal to two containers of which one ends by
// itself before it arrives: the other gets it all the same.
func TestKillOfOneThatEnds(t *testing.T) {
	r := newRig(t)
	p := load(t, "services: {a: {image: i}, b: {image: i}}")
	r.up(p, UpOptions{})
	r.host.onKill = func(id string) error {
		unlock := r.host.lock()
		defer unlock()
		if c := r.host.containers[id]; c.Spec.Name == "shop-a-1" {
			r.host.states[id].Status = engine.Exited
			return errors.New("cannot kill container: container is not running")
		}
		return nil
	}
	if err := r.Kill(t.Context(), Selection{Name: "shop", Project: p}, "SIGKILL", false); err != nil {
		t.Fatal(err)
	}
	if did := r.did(); !slices.Contains(did, "kill shop-b-1") {
		t.Errorf("did %q", did)
	}
}

// TestDownWithoutAnAnswer loses the supervisor when it has stopped a container
// and has not said so yet.
func TestDownWithoutAnAnswer(t *testing.T) {
	r := newRig(t)
	p := load(t, "services: {a: {image: i}}")
	r.up(p, UpOptions{})
	r.host.onStop = func(string) error { return ErrNoSupervisor }
	if err := r.Down(t.Context(), "shop", p, DownOptions{}); err != nil {
		t.Fatal(err)
	}
	if did := r.did(); !slices.Contains(did, "remove shop-a-1") {
		t.Errorf("did %q", did)
	}
}
