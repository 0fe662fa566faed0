package orchestrator

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"compose/engine"
)

func TestCreateOneOff(t *testing.T) {
	r := newRig(t)
	r.host.onWait = func(_ *engine.Container, s *engine.State) { s.Health = &engine.Health{Status: "healthy"} }
	p := load(t, "services: {db: {image: i, healthcheck: {test: [CMD, x]}}, idle: {image: i}, app: {image: j, restart: always, ports: ['80:80'], depends_on: {db: {condition: service_healthy}}}}")
	p, err := p.WithSelectedServices([]string{"app"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.CreateOneOff(t.Context(), p, RunOptions{Service: "app", AutoRemove: true})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(c.Spec.Name, "shop-app-run-") || len(c.Spec.Name) != len("shop-app-run-")+12 || !c.Spec.AutoRemove {
		t.Errorf("got %+v", c.Spec)
	}
	if c.Spec.Labels[LabelOneOff] != "True" || c.Spec.Labels[LabelNumber] != "" || len(c.Spec.Networks) != 1 || c.Spec.Networks[0].Aliases != nil {
		t.Errorf("labels %v, networks %+v", c.Spec.Labels, c.Spec.Networks)
	}
	did := r.did()
	if !slices.Contains(did, "start shop-db-1") || slices.Contains(did, "create shop-app-1") || slices.Contains(did, "create shop-idle-1") {
		t.Errorf("did %q", did)
	}
	if last := did[len(did)-1]; last != "create "+c.Spec.Name {
		t.Errorf("last it did %q", last)
	}
}

func TestCreateOneOffWithoutDependencies(t *testing.T) {
	r := newRig(t)
	p := load(t, "services: {db: {image: i}, app: {image: j, depends_on: [db]}}")
	if _, err := r.CreateOneOff(t.Context(), p, RunOptions{Service: "app", Name: "mine", NoDeps: true, UseAliases: true}); err != nil {
		t.Fatal(err)
	}
	if did := strings.Join(r.did(), ", "); did != "pull j, create network shop_default, create mine" {
		t.Errorf("did %q", did)
	}
	for _, c := range r.host.containers {
		if !slices.Equal(c.Spec.Networks[0].Aliases, []string{"app"}) {
			t.Errorf("aliases %q", c.Spec.Networks[0].Aliases)
		}
	}
}

func TestRunOneOff(t *testing.T) {
	r := newRig(t)
	p := load(t, "services: {app: {image: j}}")
	create := func() *engine.Container {
		t.Helper()
		c, err := r.CreateOneOff(t.Context(), p, RunOptions{Service: "app", Name: "x", AutoRemove: true})
		if err != nil {
			t.Fatal(err)
		}
		r.did()
		return c
	}
	c := create()
	r.host.onWait = func(_ *engine.Container, s *engine.State) { s.Status, s.ExitCode = engine.Exited, 3 }
	var out strings.Builder
	code, err := r.RunOneOff(t.Context(), c, &Streams{Stdout: &out})
	if code != 3 || err != nil || out.String() != "output\n" {
		t.Errorf("got %d, %v, %q", code, err, out.String())
	}
	if did := strings.Join(r.did(), ", "); did != "attach x, start x, remove x" {
		t.Errorf("did %q", did)
	}
	delete(r.host.containers, c.ID)

	c = create()
	r.host.onStart = func(*engine.Container, *engine.State) error { return &StartError{127, "no such file"} }
	var start *StartError
	if _, err := r.RunOneOff(t.Context(), c, &Streams{Stdout: &out}); !errors.As(err, &start) || start.Code != 127 {
		t.Errorf("got %v", err)
	}
	if did := r.did(); did[len(did)-1] != "remove x" {
		t.Errorf("did %q", did)
	}
	delete(r.host.containers, c.ID)

	c = create()
	r.host.onAttach = func() error { return ErrNoSupervisor }
	if _, err := r.RunOneOff(t.Context(), c, &Streams{Stdout: &out}); !errors.Is(err, ErrNoSupervisor) {
		t.Errorf("got %v", err)
	}
	if did := strings.Join(r.did(), ", "); did != "remove x" {
		t.Errorf("did %q", did)
	}
}

func TestTargetAndPs(t *testing.T) {
	r := newRig(t)
	p := load(t, "services: {a: {image: i, scale: 2}, b: {image: i}, old: {image: i}}")
	r.up(p, UpOptions{})
	p = load(t, "services: {a: {image: i, scale: 2}, b: {image: i}}")
	for id, c := range r.host.containers {
		if c.Spec.Name == "shop-b-1" {
			r.host.states[id].Status = engine.Exited
		}
	}
	sel := func(services ...string) Selection {
		return Selection{Name: "shop", Project: p, Services: services}
	}
	for _, c := range []struct {
		service   string
		index     int
		want, err string
	}{
		{"a", 0, "shop-a-1", ""},
		{"a", 2, "shop-a-2", ""},
		{"a", 3, "", `service "a" is not running container #3`},
		{"b", 0, "", `service "b" is not running`},
		{"x", 0, "", `service "x" is not running`},
	} {
		got, err := r.Target(t.Context(), sel(c.service), c.index)
		if err != nil && err.Error() != c.err || err == nil && got.Name() != c.want {
			t.Errorf("%+v: got %v, %v", c, got, err)
		}
	}
	for _, c := range []struct {
		sel  Selection
		opts PsOptions
		want string
	}{
		{sel(), PsOptions{Orphans: true}, "shop-a-1 shop-a-2 shop-old-1"},
		{sel(), PsOptions{}, "shop-a-1 shop-a-2"},
		{sel(), PsOptions{All: true}, "shop-a-1 shop-a-2 shop-b-1"},
		{sel("b"), PsOptions{All: true}, "shop-b-1"},
	} {
		list, err := r.Ps(t.Context(), c.sel, c.opts)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, ctr := range list {
			names = append(names, ctr.Name())
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%+v: got %s, want %s", c.opts, got, c.want)
		}
	}
}
