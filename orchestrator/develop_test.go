package orchestrator

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/go-digest"

	"compose/engine"
	"compose/engine/image"
)

func (h *fakeHost) Sync(_ context.Context, id string, list []engine.SyncPath) error {
	defer h.lock()()
	for _, p := range list {
		h.note("sync %s %s %s", h.containers[id].Spec.Name, p.Source, p.Target)
	}
	return nil
}

func (h *fakeHost) DanglingImages(context.Context, string) ([]string, error) { return nil, nil }

func (h *fakeHost) RemoteDigest(context.Context, string) (digest.Digest, error) { return "", nil }

func (h *fakeHost) PublishFiles(context.Context, string, image.FileSet, string, []string) error {
	return nil
}

// developed is a project of one service, which is built from a directory.
func developed(dir string, triggers ...types.Trigger) *types.Project {
	web := types.ServiceConfig{Name: "web"}
	web.Build = &types.BuildConfig{Context: dir, Dockerfile: "Dockerfile"}
	web.Develop = &types.DevelopConfig{Watch: triggers}
	return &types.Project{Name: "shop", Services: types.Services{"web": web}}
}

// TestWatchMatches tries which changes are an entry's business.
func TestWatchMatches(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{".dockerignore": "*.log\nvendor\n!vendor/ours\n", "Dockerfile": "FROM scratch\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := developed(dir,
		types.Trigger{Action: "sync", Path: dir, Target: "/app", Ignore: []string{"node_modules/", "*.tmp"}},
		types.Trigger{Action: "sync", Path: dir + "/static", Target: "/pub", Include: []string{"*.css", "deep/**"}},
	)
	rules, err := watchRules(p, nil, func(w string) { t.Error(w) })
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"main.go":              "/app/main.go",
		"a/b.go":               "/app/a/b.go",
		"x.log":                "",
		"a/x.log":              "/app/a/x.log", // the pattern is of the context's top
		"x.tmp":                "",
		"node_modules/x/y.js":  "",
		"vendor/theirs/x":      "",
		"vendor/ours/x":        "/app/vendor/ours/x",
		".git/HEAD":            "",
		"a/.git/HEAD":          "",
		".main.go.swp":         "",
		"a/4913":               "",
		"main.go~":             "",
		".idea/workspace.xml":  "",
		"static/site.css":      "/app/static/site.css /pub/site.css",
		"static/site.js":       "/app/static/site.js",
		"static/deep/er/x.js":  "/app/static/deep/er/x.js /pub/deep/er/x.js",
		"../outside":           "",
		"staticfiles/site.css": "/app/staticfiles/site.css",
	} {
		var got []string
		path := filepath.Join(dir, name)
		for _, s := range sortChanges(rules, []string{path}).sync["web"] {
			if s.Source != path {
				t.Errorf("%s: source %s", name, s.Source)
			}
			got = append(got, s.Target)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: goes to %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]bool{"node_modules": true, ".git/objects": true, "vendor": false, "a": false} {
		if got := rules[0].skips(filepath.Join(dir, name)); got != want {
			t.Errorf("skips %s: %v", name, got)
		}
	}
}

// TestWatchAll has an entry whose context leaves everything out but one
// directory: the lone asterisk does not count.
func TestWatchAll(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".dockerignore"), []byte("*\n!src\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	rules, err := watchRules(developed(dir, types.Trigger{Action: "rebuild", Path: dir}), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !sortChanges(rules, []string{dir + "/other"}).rebuild["web"] {
		t.Error("nothing is watched")
	}
}

// TestWatchBatch groups what several entries ask for.
func TestWatchBatch(t *testing.T) {
	hook := types.ServiceHook{Command: types.ShellCommand{"reload"}}
	p := developed("/src",
		types.Trigger{Action: "sync+exec", Path: "/src/conf", Target: "/etc/app", Exec: hook},
		types.Trigger{Action: "sync+restart", Path: "/src/lib", Target: "/lib"},
		types.Trigger{Action: "restart", Path: "/src/env"},
		types.Trigger{Action: "rebuild", Path: "/src/go.mod"},
	)
	rules, err := watchRules(p, nil, func(w string) { t.Error(w) })
	if err != nil {
		t.Fatal(err)
	}
	b := sortChanges(rules, []string{"/src/conf/a", "/src/conf/b"})
	if len(b.exec["web"]) != 1 || len(b.sync["web"]) != 2 || len(b.restart)+len(b.rebuild) != 0 {
		t.Errorf("two files with a command: %+v", b)
	}
	b = sortChanges(rules, []string{"/src/env", "/src/go.mod", "/src/lib/x"})
	if !b.restart["web"] || !b.rebuild["web"] || !reflect.DeepEqual(b.sync["web"], []engine.SyncPath{{Source: "/src/lib/x", Target: "/lib/x"}}) {
		t.Errorf("restart and rebuild: %+v", b)
	}
}

// TestWatchRefused tries entries that cannot be carried out.
func TestWatchRefused(t *testing.T) {
	rebuild := developed("/src", types.Trigger{Action: "rebuild", Path: "/src"})
	web := rebuild.Services["web"]
	web.Build = nil
	rebuild.Services["web"] = web
	mounted := developed("/src", types.Trigger{Action: "sync", Path: "/src/a", Target: "/a"})
	web = mounted.Services["web"]
	web.Volumes = []types.ServiceVolumeConfig{{Type: "bind", Source: "/src", Target: "/a"}}
	mounted.Services["web"] = web
	for want, p := range map[string]*types.Project{
		"without a build context": rebuild,
		"without a command":       developed("/src", types.Trigger{Action: "sync+exec", Path: "/src", Target: "/a"}),
		"consider setting":        mounted,
		"consider setting a 'dev": {Name: "shop", Services: types.Services{"web": {Name: "web"}}},
	} {
		var warned string
		if _, err := watchRules(p, nil, func(w string) { warned = w }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if p == mounted && !strings.Contains(warned, "path '/src/a' also declared by a bind mount volume") {
			t.Errorf("warned %q", warned)
		}
	}
}
