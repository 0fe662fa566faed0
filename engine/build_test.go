package engine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"compose/engine/build"
	"compose/engine/build/progress"
)

func buildImage(t *testing.T, e *Engine, dockerfile string, files map[string]string, tag string) (string, string, error) {
	t.Helper()
	dir := t.TempDir()
	files["Dockerfile"] = dockerfile
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	img, err := e.Builder().Build(context.Background(), build.Options{Context: dir, Tags: []string{tag}, Progress: progress.NewPlain(&out).Event})
	if err != nil {
		return "", out.String(), err
	}
	return img.ID, out.String(), nil
}

func TestBuild(t *testing.T) {
	e := newEngine(t)
	const dockerfile = `FROM busybox AS base
WORKDIR /work
COPY seed.txt ./
RUN cat seed.txt > made && echo ran-$((40+2))
FROM busybox
ARG WHO=world
ENV GREETING="hello $WHO"
COPY --from=base --chown=7:8 /work/made /made
RUN --mount=type=cache,target=/cache echo x >> /cache/n; id -u > /uid; ls -A /etc /dev > /listing
LABEL a=b
ENTRYPOINT ["sh", "-c", "echo $GREETING; cat /made; stat -c %u:%g /made; ls /cache 2>&1"]
`
	files := map[string]string{"seed.txt": "seed\n"}
	id, log, err := buildImage(t, e, dockerfile, files, "app")
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	for _, want := range []string{"ran-42\n", "DONE"} {
		if !strings.Contains(log, want) {
			t.Errorf("the progress does not show %q:\n%s", want, log)
		}
	}
	text, _ := output(t, e, create(t, e, ContainerSpec{Name: "app", Image: "app"}).ID)
	if !strings.HasPrefix(text, "hello world\nseed\n7:8\n") || strings.Contains(text, "\nn\n") {
		t.Errorf("the built image prints:\n%s", text)
	}
	img, err := e.Images().Get(context.Background(), "app")
	if err != nil || img.Config.Config.Labels["a"] != "b" {
		t.Errorf("%+v, %v", img, err)
	}
	again, log, err := buildImage(t, e, dockerfile, files, "app")
	if err != nil || again != id || strings.Contains(log, "ran-42\n") || !strings.Contains(log, "CACHED") {
		t.Errorf("built again: %s, was %s, %v\n%s", again, id, err, log)
	}
	files["seed.txt"] = "other\n"
	other, log, err := buildImage(t, e, dockerfile, files, "app")
	if err != nil || other == id || !strings.Contains(log, "ran-42\n") {
		t.Errorf("built with another file: %s, %v\n%s", other, err, log)
	}
	// A step that syncs its files, as package managers do with each, waits for
	// no disk: that is the end of the build's to do.
	_, log, err = buildImage(t, e, "FROM busybox\nRUN grep '^overlay / .*volatile' /proc/mounts\n", files, "synced")
	if err != nil {
		t.Errorf("the step's files: %v\n%s", err, log)
	}
	if n, err := e.Networks().Networks(); err != nil || len(n) != 0 {
		t.Errorf("the build left networks: %v, %v", n, err)
	}
}

func TestBuildThatFails(t *testing.T) {
	e := newEngine(t)
	_, _, err := buildImage(t, e, "FROM busybox\nRUN echo before && exit 3\n", map[string]string{}, "bad")
	var step *build.StepError
	if !errors.As(err, &step) || step.Line != 2 || step.ExitCode != 3 || strings.Join(step.Output, "") != "before" {
		t.Errorf("a failing step: %v, %+v", err, step)
	}
	_, _, err = buildImage(t, e, "FROM busybox\nRUNN x\n", map[string]string{}, "bad")
	if err == nil || !strings.Contains(err.Error(), "Dockerfile:2") || !strings.Contains(err.Error(), "RUNN") {
		t.Errorf("an unknown instruction: %v", err)
	}
}
