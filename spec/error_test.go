package spec

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// load loads one file in a directory of its own. Paths in messages are cut
// down to the file's name.
func load(t *testing.T, file string, services ...string) (*Project, []Warning, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "p")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "compose.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	return Load(t.Context(), Options{Services: services, Environ: []string{"HOME=/root"}})
}

func TestErrors(t *testing.T) {
	const a = "services:\n  a:\n    image: x\n"
	for file, want := range map[string]string{
		a + "    scale: many\n":                                       `compose.yaml:4:5: services.a.scale: "many" is not a whole number`,
		a + "    init: maybe\n":                                       `compose.yaml:4:5: services.a.init: "maybe" is not true or false`,
		a + "    cpu_rt_period: 3us\n    cpu_rt_runtime: 4ms\n":       `compose.yaml:4:5: services.a.cpu_rt_period: "3us" is not a whole number`,
		a + "    ports: [80, ':']\n":                                  `compose.yaml:4:17: services.a.ports: a port is missing; write it as [[IP:]HOST:]CONTAINER[/PROTOCOL]`,
		a + "    volumes: [':/a']\n":                                  `compose.yaml:4:15: services.a.volumes: invalid spec: :/a: empty section between colons; write a volume as [SOURCE:]TARGET[:MODE]`,
		a + "    volumes: [{type: volume, source: v}]\n":              `compose.yaml:4:15: services.a.volumes.0: target is missing; it is the path in the container`,
		a + "    network_mode: host\n    networks: [default]\n":       "compose.yaml:2:3: services.a: declares mutually exclusive `network_mode` and `networks`; remove one of them",
		a + "    extends: nope\n":                                     `compose.yaml:4:5: services.a.extends: there is no service "nope" in compose.yaml to extend`,
		a + "    extends: {file: ./n.yaml, service: b}\n":             `compose.yaml:4:21: n.yaml: no such file or directory; correct the path`,
		a + "    env_file: nope.env\n":                                `compose.yaml:4:15: there is no env_file nope.env; create it, or give it required: false`,
		a + "    labels: {null: x}\n":                                 `compose.yaml:4:5: services.a.labels: the key null is no text; put it in quotes`,
		a + "    command: [1]\n":                                      `compose.yaml:4:15: services.a.command.0: must be a string; put it in quotes`,
		a + "    cap_add: [1]\n":                                      `compose.yaml:4:15: services.a.cap_add.0: unexpected type int`,
		a + "  'a b': {image: x}\n":                                   `compose.yaml:4:3: services.a b: "a b" is not a name; use letters, digits, dots, dashes and underscores`,
		"services:\n  a:\n    image: x:${\n":                          `compose.yaml:3:5: services.a.image: "x:${" is no variable; write $$ for a dollar sign`,
		"services: [a]\n":                                             `compose.yaml:1:1: services: must be a mapping; see the Compose file reference for its form`,
		"include: [nope.yaml]\n":                                      `compose.yaml:1:11: nope.yaml: no such file or directory; correct the path`,
		"":                                                            `compose.yaml: the file is empty; it needs at least services`,
		"[a]\n":                                                       `compose.yaml: this is no Compose file; it has to begin with a key, such as services`,
		a + "    comand: ls\n":                                        `compose.yaml:4:5: services.a.comand: unknown field; did you mean "command"?`,
		a + "    zzzzzz: ls\n":                                        `compose.yaml:4:5: services.a.zzzzzz: unknown field; remove it, or correct its name`,
		a + "    healthcheck: {tset: x}\n":                            `compose.yaml:4:19: services.a.healthcheck.tset: unknown field; did you mean "test"?`,
		a + "    ports: ['80:x']\n":                                   `compose.yaml:4:13: services.a.ports: invalid containerPort: x; write a port as [[IP:]HOST:]CONTAINER[/PROTOCOL]`,
		a + "    ports: 80\n":                                         `compose.yaml:4:5: services.a.ports: must be a list; write each entry on a line of its own behind a dash`,
		a + "    networks: [nowhere]\n":                               `compose.yaml:4:16: services.a.networks: network "nowhere" is not declared; add it under the top-level networks`,
		a + "    volumes: ['nowhere:/data']\n":                        `compose.yaml:4:15: services.a.volumes: volume "nowhere" is not declared; add it under the top-level volumes`,
		a + "    volumes: ['dta:/d']\nvolumes: {data: }\n":            `compose.yaml:4:15: services.a.volumes: volume "dta" is not declared; did you mean "data"?`,
		a + "    secrets: [{source: s}]\n":                            `compose.yaml:4:24: services.a.secrets: secret "s" is not declared; add it under the top-level secrets`,
		a + "    stop_grace_period: soon\n":                           `compose.yaml:4:5: services.a.stop_grace_period: "soon" is not a duration; write it as 30s or 1m30s`,
		a + "    depends_on: [b]\n":                                   `compose.yaml:4:18: services.a.depends_on.b: there is no service "b"; declare it under services`,
		a + "    image: y\n":                                          `compose.yaml:4:5: the key image is there already, in line 3; remove one of them`,
		"services:\n  a:\n    image: ${NOT:?give it a value}\n":       `compose.yaml:3:5: services.a.image: required variable NOT is missing a value: give it a value`,
		"services:\n  a:\n    user: x\n":                              `compose.yaml:2:3: services.a: neither image nor build is given; add one of them`,
		"services:\n  a:\n    image: [x\n":                            `compose.yaml:4:1: did not find expected ',' or ']'; check the indentation, quotes and brackets at or above this line`,
		"service:\n  a:\n    image: x\n":                              `compose.yaml:1:1: service: unknown field; did you mean "services"?`,
		a + "    depends_on: [b]\n  b: {image: x, depends_on: [a]}\n": `compose.yaml:4:5: services.a.depends_on: dependency cycle: a -> b -> a; remove one of these depends_on`,
	} {
		_, _, err := load(t, file)
		if err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", file, err, want)
		}
	}
}

func TestErrorsInTheFileThatDecides(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"compose.yaml":          "services:\n  a:\n    image: x\n",
		"compose.override.yaml": "\nservices:\n  a:\n    mem_limit: much\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	_, _, err := Load(t.Context(), Options{ProjectName: "p", Environ: []string{"A=b"}})
	if err == nil || !strings.HasPrefix(err.Error(), "compose.override.yaml:4:5: services.a.mem_limit: ") {
		t.Errorf("got %v", err)
	}
}

func TestNoFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, _, err := Load(t.Context(), Options{}); !errors.Is(err, ErrNoFile) || err.Error() != "no configuration file provided: not found" {
		t.Errorf("got %v", err)
	}
	if _, err := Name(Options{}); !errors.Is(err, ErrNoFile) {
		t.Errorf("got %v", err)
	}
}

func TestWarnings(t *testing.T) {
	p, warnings, err := load(t, `services:
  a:
    image: x
    runtime: kata
    logging: {driver: splunk}
    networks:
      n: {interface_name: x}
    links: ["b:other"]
    deploy: {mode: global, endpoint_mode: vip, restart_policy: {delay: 3s}, placement: {constraints: [node.role == manager]}}
  b: {image: x, logging: {driver: local}}
networks:
  n: {driver: weave}
`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range warnings {
		got = append(got, w.String())
	}
	want := []string{
		"compose.yaml:9:28: services.a.deploy.endpoint_mode: this is for a Swarm of hosts and has no effect on one",
		"compose.yaml:9:77: services.a.deploy.placement: this is for a Swarm of hosts and has no effect on one",
		"compose.yaml:9:65: services.a.deploy.restart_policy.delay: this is for a Swarm of hosts and has no effect on one",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	got = nil
	for _, r := range p.Refused {
		got = append(got, r.String())
	}
	want = []string{
		"compose.yaml:5:15: services.a.logging.driver: there is no logging driver splunk; use json-file, local, syslog, journald or none",
		"compose.yaml:4:5: services.a.runtime: unknown or invalid runtime name: kata; it is neither a program in PATH nor one of the runtimes in /etc/docker/daemon.json",
		"compose.yaml:12:7: networks.n.driver: there is no network driver weave; use bridge, macvlan, host or none",
	}
	if !slices.Equal(got, want) {
		t.Errorf("refused\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestGraph(t *testing.T) {
	p, _, err := load(t, "services: {web: {image: x, depends_on: [db, cache]}, db: {image: x}, cache: {image: x}, worker: {image: x, depends_on: [web]}}")
	if err != nil {
		t.Fatal(err)
	}
	g, err := p.Graph()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(g.Order(), " "); got != "cache db web worker" {
		t.Errorf("order %s", got)
	}
	if got := strings.Join(g.Reverse(), " "); got != "worker web db cache" {
		t.Errorf("reverse %s", got)
	}
	if len(g.Levels()) != 3 || !slices.Equal(g.Dependents("db"), []string{"web"}) {
		t.Errorf("levels %v, dependents %v", g.Levels(), g.Dependents("db"))
	}
}

// What the loader warns of is heard once each, with what has no effect.
func TestWarningsOfTheLoader(t *testing.T) {
	_, warnings, err := load(t, "version: '3'\nservices: {a: {image: 'x:${TAG}', command: $TAG, privileged: yes}}\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range warnings {
		got = append(got, w.String()[strings.LastIndexByte(w.String(), '/')+1:])
	}
	want := []string{
		"compose.yaml: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion",
		`The "TAG" variable is not set. Defaulting to a blank string.`,
		`"yes" for boolean is not supported by YAML 1.2, please use ` + "`true`",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestLeftOutServiceNeedsNoEnvFile(t *testing.T) {
	const file = "services: {a: {image: x}, b: {image: x, env_file: nope.env}}\n"
	if _, _, err := load(t, file, "a"); err != nil {
		t.Error(err)
	}
	if _, _, err := load(t, file, "b"); err == nil {
		t.Error("b is loaded without its env_file")
	}
}

func TestConfigHash(t *testing.T) {
	hash := func(file string) string {
		t.Helper()
		p, _, err := load(t, "services: {b: {image: x}, a: "+file+"}")
		if err != nil {
			t.Fatal(err)
		}
		return ConfigHash(p.Services["a"])
	}
	base := hash("{image: x}")
	for file, same := range map[string]bool{
		"{image: x, scale: 3}":                  true,
		"{image: x, depends_on: [b]}":           true,
		"{image: x, pull_policy: always}":       true,
		"{image: x, build: .}":                  true,
		"{image: y}":                            false,
		"{image: x, environment: {A: b}}":       false,
		"{image: x, deploy: {replicas: 2}}":     false, // deploy itself is new
		"{image: x, restart: always, user: me}": false,
	} {
		if got := hash(file) == base; got != same {
			t.Errorf("%s: the same hash: %t", file, got)
		}
	}
}
