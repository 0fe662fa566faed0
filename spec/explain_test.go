package spec

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func load(t *testing.T, text string) ([]Warning, error) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, warnings, err := Load(context.Background(), Options{Environ: []string{}, ProjectName: "p"})
	return warnings, err
}

func TestErrorsSayWhereAndWhat(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"misspelt key":     {"services:\n  a:\n    image: x\n    comand: ls\n", `compose.yaml:4:5: services.a.comand: unknown key "comand", did you mean "command"?`},
		"misspelt section": {"servces:\n  a:\n    image: x\n", `compose.yaml:1:1: servces: unknown key "servces", did you mean "services"?`},
		"nested key":       {"services:\n  a:\n    image: x\n    healthcheck:\n      intervall: 5s\n", `compose.yaml:5:7: services.a.healthcheck.intervall: unknown key "intervall", did you mean "interval"?`},
		"wrong type":       {"services:\n  a:\n    image: x\n    ports: 80\n", `compose.yaml:4:5: services.a.ports: must be a list`},
		"network":          {"services:\n  a:\n    image: x\n    networks: [nowhere]\n", `compose.yaml:4:5: services.a.networks: undefined network nowhere; define it below the top-level networks`},
		"dependency":       {"services:\n  a:\n    image: x\n    depends_on: [zz]\n", `compose.yaml:4:5: services.a.depends_on: undefined service "zz"; define it, or take it out`},
		"duration":         {"services:\n  a:\n    image: x\n    stop_grace_period: soon\n", `compose.yaml:4:5: services.a.stop_grace_period: time: invalid duration "soon"`},
		"required":         {"services:\n  a:\n    image: ${X:?give it a value}\n", `compose.yaml:3:5: services.a.image: required variable X is missing a value: give it a value`},
		"port":             {"services:\n  a:\n    image: x\n    ports: ['80:x']\n", `compose.yaml:4:13: invalid containerPort: x; write ports as [[IP:]HOST:]CONTAINER[/tcp|udp]`},
		"nothing to run":   {"services:\n  a:\n    command: ls\n", `compose.yaml:2:3: services.a: has neither an image nor a build context specified`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, c.file)
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	_, err := load(t, "services:\n  a:\n    image: [x\n")
	if err == nil || !strings.HasPrefix(err.Error(), "compose.yaml:") || strings.Contains(err.Error(), "\n") {
		t.Errorf("syntax: %v", err)
	}
}

func TestUnsupportedFieldsAreNamed(t *testing.T) {
	warnings, err := load(t, "services:\n  a:\n    image: x\n    links: [b]\n  b:\n    image: x\n    gpus: all\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 2 || warnings[0].Message != "compose.yaml:4:5: services.a.links: not supported yet, ignored" || warnings[1].Field != "services.b.gpus" {
		t.Errorf("%+v", warnings)
	}
}
