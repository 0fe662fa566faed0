package orchestrator

import (
	"strings"
	"testing"
	"time"
)

const stack = `
services:
  db:
    image: db
    volumes: ["data:/var/lib/db", "/cache"]
    healthcheck: {test: [CMD, "true"]}
  migrate:
    image: app
    command: migrate
    depends_on: {db: {condition: service_healthy}}
  web:
    image: app
    scale: 2
    ports: ["8080-8081:80"]
    depends_on:
      db: {condition: service_healthy, restart: true}
      migrate: {condition: service_completed_successfully}
      cache: {condition: service_started}
  cache:
    image: cache
volumes:
  data:
`

// TestPlans compares plans as text: what `up` would do, from an empty host on,
// after changes of the file and of the host.
func TestPlans(t *testing.T) {
	all := UpOptions{}
	for _, c := range []struct {
		name  string
		first string // brought up before; "": nothing
		file  string
		opts  UpOptions
		host  func(*testing.T, *fakeHost) // changes between the two
		want  string
	}{
		{
			name: "from nothing",
			file: stack, opts: all,
			want: `
1. pull image cache (not on this host)
2. pull image db (not on this host)
3. pull image app (not on this host)
4. create network shop_default (not found) after 1, 2, 3
5. create volume shop_data (not found) after 1, 2, 3
6. create container shop-cache-1 (no existing container) after 4
7. create container shop-db-1 (no existing container) after 4, 5
8. create container shop-migrate-1 (no existing container) after 4
9. create container shop-web-1 (no existing container) after 4
10. create container shop-web-2 (no existing container) after 4
11. start container shop-cache-1 (it is created) after 6
12. start container shop-db-1 (it is created) after 7
13. wait for service db to be healthy (service migrate depends on it) after 12
14. start container shop-migrate-1 (it is created) after 8, 13
15. wait for service migrate to complete successfully (service web depends on it) after 14
16. start container shop-web-1 (it is created) after 9, 11, 13, 15
17. start container shop-web-2 (it is created) after 10, 11, 13, 15
`,
		},
		{
			name:  "nothing to do",
			first: "services: {a: {image: a}, b: {image: b, depends_on: [a]}}",
			file:  "services: {a: {image: a}, b: {image: b, depends_on: [a]}}",
			want:  "",
		},
		{
			name:  "only what changed",
			first: "services: {a: {image: a}, b: {image: b, depends_on: [a]}}",
			file:  "services: {a: {image: a}, b: {image: b, depends_on: [a], environment: [X=1]}}",
			want: `
1. recreate b: environment.X added 1 (container shop-b-1)
2. stop container shop-b-1 (it is replaced) after 1
3. remove container shop-b-1 (it is replaced) after 1, 2
4. give the name shop-b-1 to its container (it has taken the other's place) after 3
5. start container shop-b-1 (it is created) after 4
`,
		},
		{
			name:  "a dependent that wants to be restarted",
			first: "services: {a: {image: a}, b: {image: b, depends_on: {a: {condition: service_started, restart: true}}}}",
			file:  "services: {a: {image: a, user: x}, b: {image: b, depends_on: {a: {condition: service_started, restart: true}}}}",
			want: `
1. stop container shop-b-1 (service a, which it depends on, is recreated)
2. recreate a: user added x (container shop-a-1) after 1
3. stop container shop-a-1 (it is replaced) after 2
4. remove container shop-a-1 (it is replaced) after 2, 3
5. give the name shop-a-1 to its container (it has taken the other's place) after 4
6. start container shop-a-1 (it is created) after 5
7. start container shop-b-1 (it was stopped for a change) after 1, 6
`,
		},
		{
			name:  "who shares a namespace goes along",
			first: "services: {a: {image: a}, b: {image: b, network_mode: 'service:a'}}",
			file:  "services: {a: {image: a, user: x}, b: {image: b, network_mode: 'service:a'}}",
			opts:  UpOptions{ReconcileOptions: ReconcileOptions{NoStart: true}},
			want: `
1. stop container shop-b-1 (service a, which it depends on, is recreated)
2. recreate a: user added x (container shop-a-1) after 1
3. stop container shop-a-1 (it is replaced) after 2
4. remove container shop-a-1 (it is replaced) after 2, 3
5. give the name shop-a-1 to its container (it has taken the other's place) after 4
6. recreate b: it shares with service a, which is recreated (container shop-b-1) after 5
7. remove container shop-b-1 (it is replaced) after 1, 6
8. give the name shop-b-1 to its container (it has taken the other's place) after 7
`,
		},
		{
			name:  "a new image",
			first: "services: {a: {image: a}}",
			file:  "services: {a: {image: a}}",
			host:  func(t *testing.T, h *fakeHost) { h.images["a"] = "sha256:newer" },
			want: `
1. recreate a: its image changed a -> newer (container shop-a-1)
2. stop container shop-a-1 (it is replaced) after 1
3. remove container shop-a-1 (it is replaced) after 1, 2
4. give the name shop-a-1 to its container (it has taken the other's place) after 3
5. start container shop-a-1 (it is created) after 4
`,
		},
		{
			name:  "scale up",
			first: "services: {a: {image: a}}",
			file:  "services: {a: {image: a, scale: 3}}",
			want: `
1. create container shop-a-2 (no existing container)
2. create container shop-a-3 (no existing container)
3. start container shop-a-2 (it is created) after 1
4. start container shop-a-3 (it is created) after 2
`,
		},
		{
			name:  "scale down",
			first: "services: {a: {image: a, scale: 3}}",
			file:  "services: {a: {image: a}}",
			want: `
1. stop container shop-a-2 (scale a to 1)
2. remove container shop-a-2 (scale a to 1) after 1
3. stop container shop-a-3 (scale a to 1)
4. remove container shop-a-3 (scale a to 1) after 3
`,
		},
		{
			name:  "orphans",
			first: "services: {a: {image: a}, old: {image: a}}",
			file:  "services: {a: {image: a}}",
			opts:  UpOptions{ReconcileOptions: ReconcileOptions{RemoveOrphans: true}},
			want: `
1. stop container shop-old-1 (orphan)
2. remove container shop-old-1 (orphan) after 1
`,
		},
		{
			name:  "what has stopped starts again",
			first: "services: {a: {image: a}, b: {image: b, depends_on: [a]}}",
			file:  "services: {a: {image: a}, b: {image: b, depends_on: [a]}}",
			host: func(t *testing.T, h *fakeHost) {
				for _, s := range h.states {
					s.Status = "exited"
				}
			},
			want: `
1. start container shop-a-1 (it does not run)
2. start container shop-b-1 (it does not run) after 1
`,
		},
		{
			name:  "a changed network",
			first: "services: {a: {image: a}}",
			file:  "services: {a: {image: a}}\nnetworks: {default: {internal: true}}",
			want: `
1. stop container shop-a-1 (network shop_default changed)
2. remove network shop_default (internal changed false -> true) after 1
3. create network shop_default (internal changed false -> true) after 2
4. start container shop-a-1 (it was stopped for a change) after 1, 3
`,
		},
		{
			name:  "a recreation that was killed half-way",
			first: "services: {a: {image: a}}",
			file:  "services: {a: {image: a, user: x}}",
			host: func(t *testing.T, h *fakeHost) {
				for id, c := range h.containers {
					twin := *c
					twin.ID = strings.Repeat("f", 64)
					twin.Spec.Name = "0123456789ab_shop-a-1"
					twin.Spec.Labels = map[string]string{}
					for k, v := range c.Spec.Labels {
						twin.Spec.Labels[k] = v
					}
					p := load(t, "services: {a: {image: a, user: x}}")
					s := p.Services["a"]
					twin.Spec.Labels[LabelConfigHash] = hash(origin(s))
					h.containers[twin.ID] = &twin
					state := *h.states[id]
					state.Status = "created"
					h.states[twin.ID] = &state
				}
			},
			want: `
1. stop container shop-a-1 (scale a to 1)
2. remove container shop-a-1 (scale a to 1) after 1
3. give the name shop-a-1 to its container (finish the last recreation) after 2
4. start container 0123456789ab_shop-a-1 (it does not run) after 3
`,
		},
		{
			name: "wait for all",
			file: "services: {a: {image: a}, b: {image: a, depends_on: {a: {condition: service_completed_successfully}}}}",
			host: func(t *testing.T, h *fakeHost) { h.images["a"] = "sha256:a" },
			opts: UpOptions{ReconcileOptions: ReconcileOptions{Wait: true}},
			want: `
1. create network shop_default (not found)
2. create container shop-a-1 (no existing container) after 1
3. create container shop-b-1 (no existing container) after 1
4. start container shop-a-1 (it is created) after 2
5. wait for service a to complete successfully (service b depends on it) after 4
6. start container shop-b-1 (it is created) after 3, 5
7. wait for service b to run or be healthy (--wait) after 6
`,
		},
		{
			name: "builds and pulls",
			file: `
services:
  a: {build: ./a}
  b: {build: {context: ./b, additional_contexts: {base: "service:a"}}, image: "b:1"}
  c: {image: c, pull_policy: always}
  d: {image: "b:1"}
`,
			opts: UpOptions{ReconcileOptions: ReconcileOptions{Services: []string{"none"}, NoStart: true}},
			host: func(t *testing.T, h *fakeHost) { h.images["c"] = "sha256:c" },
			want: `
1. build image shop-a (not on this host)
2. build image b:1 (not on this host) after 1
3. pull image c (pull_policy is always)
4. create network shop_default (not found) after 1, 2, 3
5. create container shop-a-1 (no existing container) after 4
6. create container shop-b-1 (no existing container) after 4
7. create container shop-c-1 (no existing container) after 4
8. create container shop-d-1 (no existing container) after 4
`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			if c.first != "" {
				r.up(load(t, c.first), UpOptions{})
			}
			if c.host != nil {
				c.host(t, r.host)
			}
			if got := r.plan(load(t, c.file), c.opts); got != strings.TrimPrefix(c.want, "\n") {
				t.Errorf("plan:\n%s\nwant:%s", got, c.want)
			}
		})
	}
}

func TestRecreatePolicies(t *testing.T) {
	file := "services: {a: {image: a}, b: {image: b, depends_on: [a]}}"
	changed := "services: {a: {image: a, user: x}, b: {image: b, user: x, depends_on: [a]}}"
	for name, c := range map[string]struct {
		file string
		opts ReconcileOptions
		want []string // the containers that are replaced
	}{
		"force":             {file, ReconcileOptions{Recreate: RecreateForce}, []string{"shop-a-1", "shop-b-1"}},
		"never":             {changed, ReconcileOptions{Recreate: RecreateNever, RecreateDeps: RecreateNever}, nil},
		"force one":         {file, ReconcileOptions{Services: []string{"b"}, Recreate: RecreateForce}, []string{"shop-b-1"}},
		"force its deps":    {file, ReconcileOptions{Services: []string{"b"}, RecreateDeps: RecreateForce}, []string{"shop-a-1"}},
		"diverged deps too": {changed, ReconcileOptions{Services: []string{"b"}}, []string{"shop-a-1", "shop-b-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.up(load(t, file), UpOptions{})
			plan := r.plan(load(t, c.file), UpOptions{ReconcileOptions: c.opts})
			var got []string
			for line := range strings.Lines(plan) {
				if _, rest, ok := strings.Cut(line, "(container "); ok {
					got = append(got, strings.TrimRight(strings.Fields(rest)[0], ")"))
				}
			}
			if strings.Join(got, " ") != strings.Join(c.want, " ") {
				t.Errorf("replaced %q, want %q\n%s", got, c.want, plan)
			}
		})
	}
}

func TestScaledServiceWithOneName(t *testing.T) {
	r := newRig(t)
	err := r.Up(t.Context(), load(t, "services: {a: {image: a, container_name: xx}}"), UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := load(t, "services: {a: {image: a, container_name: xx}}")
	s := p.Services["a"]
	s.SetScale(2)
	p.Services["a"] = s
	if err := r.Up(t.Context(), p, UpOptions{}); err == nil || !strings.Contains(err.Error(), `custom container name "xx"`) {
		t.Errorf("got %v", err)
	}
}

func TestMissingImages(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"never pulled": {"services: {a: {image: a, pull_policy: never}}", "pull_policy is never"},
		"no build":     {"services: {a: {build: .}}", "--no-build"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			err := r.Up(t.Context(), load(t, c.file), UpOptions{Images: ImageOptions{NoBuild: true}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to say %q", err, c.want)
			}
			if did := r.did(); len(did) > 0 {
				t.Errorf("did %q", did)
			}
		})
	}
}

// TestPullPolicyRefresh pulls what is older than its service allows.
func TestPullPolicyRefresh(t *testing.T) {
	for yaml, want := range map[string]bool{
		"pull_policy: daily": true, "pull_policy: weekly": false, "pull_policy: every_29h": true, "pull_policy: every_31h": false,
		"pull_policy: refresh, pull_refresh_after: 1d": true, "pull_policy: refresh, pull_refresh_after: 2d": false, "pull_policy: missing": false,
	} {
		obs := &Observed{Images: map[string]string{"a": "sha256:x"}, Tagged: map[string]time.Time{"a": time.Now().Add(-30 * time.Hour)}}
		plan, err := planImages(load(t, "services: {a: {image: a, "+yaml+"}}"), obs, ImageOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if plan.Empty() == want {
			t.Errorf("%s: pulled: %v, want %v", yaml, !plan.Empty(), want)
		}
	}
}

func TestExternalThatIsMissing(t *testing.T) {
	for file, want := range map[string]string{
		"services: {a: {image: a, networks: [n]}}\nnetworks: {n: {external: true}}":    "network n declared as external, but could not be found",
		"services: {a: {image: a, volumes: ['v:/v']}}\nvolumes: {v: {external: true}}": `external volume "v" not found`,
	} {
		r := newRig(t)
		r.host.images["a"] = "sha256:a"
		err := r.Up(t.Context(), load(t, file), UpOptions{})
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if did := r.did(); len(did) > 0 {
			t.Errorf("did %q", did)
		}
	}
}
