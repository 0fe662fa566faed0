package supervisor

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine"
	"compose/engine/image"
	"compose/internal/roots"
	"compose/orchestrator/keeper"
	"compose/orchestrator/logs"
	"compose/orchestrator/supervisor/api"
	"compose/orchestrator/supervisor/client"
)

// TestMain lets the test binary be the supervisor; to be the keeper is the
// keeper package's own doing.
func TestMain(m *testing.M) {
	if os.Args[0] == keeper.SupervisorName {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

const project = "shop"

// host is an installation of the test's own with an image "box" of busybox.
type host struct {
	t      *testing.T
	roots  roots.Roots
	engine *engine.Engine
	client *client.Client
}

func newHost(t *testing.T) *host {
	t.Helper()
	dir, err := os.MkdirTemp("", "csup-") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	r, err := roots.New(filepath.Join(dir, "s"), "")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, roots: r}
	t.Cleanup(func() { h.close(dir) })
	if h.engine, err = engine.Open(r); err != nil {
		t.Fatal(err)
	}
	if _, err := h.engine.Images().Import(t.Context(), boxRoot(t), "box", image.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	if h.client, err = client.Connect(t.Context(), r, project); err != nil {
		t.Fatal(err)
	}
	return h
}

// boxRoot is a root file system with a static busybox as its shell and tools.
func boxRoot(t *testing.T) *bytes.Buffer {
	t.Helper()
	box, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	entry := func(h tar.Header, data []byte) {
		h.Size = int64(len(data))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	entry(tar.Header{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	entry(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, box)
	for _, name := range []string{"sh", "cat", "sleep", "grep", "kill", "stty", "seq", "true"} {
		entry(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, nil)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &buf
}

// container makes one that runs a shell line and has no network.
func (h *host) container(name, line string, change func(*engine.ContainerSpec)) string {
	h.t.Helper()
	spec := engine.ContainerSpec{Name: name, Project: project, Image: "box", Command: []string{"/bin/sh", "-c", line}, NetworkMode: "none"}
	if change != nil {
		change(&spec)
	}
	c, err := h.engine.CreateContainer(h.t.Context(), spec)
	if err != nil {
		h.t.Fatal(err)
	}
	return c.ID
}

func (h *host) start(id string) {
	h.t.Helper()
	if err := h.client.Start(h.t.Context(), id); err != nil {
		h.t.Fatal(err)
	}
}

// wait waits for the container's end, whoever its supervisor is by then.
func (h *host) wait(id string) int {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	w, err := h.client.Wait(ctx, id, api.NotRunning)
	if err != nil {
		h.t.Fatal(err)
	}
	return w.ExitCode
}

// log is the end of a container's log, so many lines, or with -1 all of it.
func (h *host) log(id string, lines int) string {
	h.t.Helper()
	var b strings.Builder
	if err := logs.Read(h.t.Context(), h.engine.LogPath(id), logs.Options{Tail: lines}, func(e logs.Entry) { b.WriteString(e.Log) }); err != nil {
		h.t.Fatal(err)
	}
	return b.String()
}

// processes are the keeper's and the supervisor's of this host.
func (h *host) processes(name string) []int {
	return keeper.Order{State: h.roots.State, Run: h.roots.Run, Project: project}.Processes(name)
}

// kill ends the keeper or the supervisor at once, and waits until there are
// both again.
func (h *host) kill(name string) {
	h.t.Helper()
	pids := h.processes(name)
	if len(pids) != 1 {
		h.t.Fatalf("%d processes are %s", len(pids), name)
	}
	if err := unix.Kill(pids[0], unix.SIGKILL); err != nil {
		h.t.Fatal(err)
	}
	h.soon("another one looks after it", func() bool {
		keepers, supervisors := h.processes(keeper.Name), h.processes(keeper.SupervisorName)
		return len(keepers) == 1 && len(supervisors) == 1 && keepers[0] != pids[0] && supervisors[0] != pids[0]
	})
}

// patience is how long is waited for what must come about: only a failure takes
// it up.
const patience = 2 * time.Minute

// soon waits until something is so.
func (h *host) soon(what string, so func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(api.Log(h.roots, project))
			h.t.Fatalf("not so after %s: %s\n%s", patience, what, said)
		}
	}
}

// close takes everything away and sees that nothing remains.
func (h *host) close(dir string) {
	ctx := context.Background()
	if h.client != nil {
		list, err := h.engine.Containers(ctx, engine.Filter{})
		if err != nil {
			h.t.Error(err)
		}
		for _, c := range list {
			if err := h.client.Remove(ctx, c.ID, true, true); err != nil && !errors.Is(err, fs.ErrNotExist) {
				h.t.Error(err)
			}
		}
		h.client.Close()
		h.soon("supervisor and keeper have left", func() bool {
			return len(h.processes(keeper.Name))+len(h.processes(keeper.SupervisorName)) == 0
		})
	}
	if h.t.Failed() {
		if said, err := os.ReadFile(api.Log(h.roots, project)); err == nil && len(said) > 0 {
			h.t.Logf("the supervisor's log:\n%s", said)
		}
	}
	for _, kind := range []string{"memory", "unified", "."} {
		left, _ := filepath.Glob(fmt.Sprintf("/sys/fs/cgroup/%s/compose-%s/*", kind, h.roots.Tag()))
		for _, path := range left {
			if info, err := os.Stat(path); err == nil && info.IsDir() {
				h.t.Errorf("%s is left", path)
			}
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		h.t.Error(err)
	}
}

// TestNoLeaveWhileRestarting: between a restart's timer and its run, a
// container still needs its supervisor.
func TestNoLeaveWhileRestarting(t *testing.T) {
	s := &supervisor{met: true, containers: map[string]*container{}}
	c := &container{s: s, restarting: true}
	s.containers["c"] = c
	if s.idle() {
		t.Error("the supervisor would leave")
	}
	c.restarting = false
	if !s.idle() {
		t.Error("the supervisor would stay")
	}
}
