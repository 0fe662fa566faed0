package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"compose/engine/image"
	"compose/engine/runtime"
	"compose/internal/objectname"
	"compose/internal/roots"
	"compose/internal/sealed"
	"compose/netbridge"
)

// TestMain makes the tests what a supervisor is, which is what starts containers.
func TestMain(m *testing.M) {
	if err := sealed.Again(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// newEngine is an engine in a root of its own with an image busybox.
func newEngine(t *testing.T) *Engine {
	t.Helper()
	r, err := roots.New(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(r)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("the tests need Debian's busybox-static: %v", err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	add := func(h tar.Header, body []byte) {
		h.Size = int64(len(body))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	add(tar.Header{Name: "bin/busybox", Mode: 0o755}, program)
	for _, a := range []string{"sh", "cat", "echo", "sleep", "wget", "httpd", "stat", "id", "mkdir", "ls", "hostname"} {
		add(tar.Header{Name: "bin/" + a, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, nil)
	}
	add(tar.Header{Name: "data", Typeflag: tar.TypeDir, Mode: 0o750, Uid: 5, Gid: 6}, nil)
	add(tar.Header{Name: "data/seed", Mode: 0o640, Uid: 7, Gid: 8}, []byte("seed\n"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = e.Images().Import(context.Background(), &buf, "busybox", image.ImportOptions{Changes: []string{"ENV FROM=image", `CMD ["echo", "default"]`}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// output runs a container to its end and returns what it printed.
func output(t *testing.T, e *Engine, id string) (string, unix.WaitStatus) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c, err := e.read(id)
	if err != nil {
		t.Fatal(err)
	}
	run, err := e.Start(context.Background(), c, Stdio{Stdout: w, Stderr: w}, func(*Started) {}, func(*Started) {})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(r)
	return string(text), stop(t, e, id, run)
}

func stop(t *testing.T, e *Engine, id string, run *Started) unix.WaitStatus {
	t.Helper()
	status, err := runtime.Reap(run.PID)
	if err != nil {
		t.Fatal(err)
	}
	run.PIDFD.Close()
	if run.Sandbox != nil {
		if err := run.Sandbox.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if err := e.Finish(context.Background(), id); err != nil {
		t.Error(err)
	}
	return status
}

func create(t *testing.T, e *Engine, spec ContainerSpec) *Container {
	t.Helper()
	if spec.Image == "" {
		spec.Image = "busybox"
	}
	if len(spec.Networks) == 0 {
		spec.NetworkMode = "none"
	}
	c, err := e.CreateContainer(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.RemoveContainer(context.Background(), c.ID, RemoveOptions{Volumes: true}); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestImageAndSpecCombine(t *testing.T) {
	e := newEngine(t)
	text, status := output(t, e, create(t, e, ContainerSpec{Name: "plain"}).ID)
	if text != "default\n" || status.ExitStatus() != 0 {
		t.Errorf("the image's command: %q, %v", text, status)
	}
	c := create(t, e, ContainerSpec{
		Name: "own", Entrypoint: []string{"sh", "-c"}, Command: []string{`echo "$FROM $MORE"; hostname; cat /etc/hosts; pwd`},
		Env: []string{"MORE=spec"}, WorkingDir: "/made/here", Hostname: "box", ExtraHosts: []string{"db=10.1.2.3"},
	})
	text, _ = output(t, e, c.ID)
	for _, want := range []string{"image spec\n", "box\n", "10.1.2.3\tdb\n", "127.0.0.1\tlocalhost\n", "/made/here\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("inside does not show %q:\n%s", want, text)
		}
	}
}

func TestNamesAndReferences(t *testing.T) {
	e := newEngine(t)
	ctx := context.Background()
	c := create(t, e, ContainerSpec{Name: "one"})
	for _, ref := range []string{"one", c.ID, c.ID[:12]} {
		if found, err := e.Container(ctx, ref); err != nil || found.ID != c.ID {
			t.Errorf("%s: %v", ref, err)
		}
	}
	var taken *NameTakenError
	if _, err := e.CreateContainer(ctx, ContainerSpec{Name: "one", Image: "busybox"}); !errors.As(err, &taken) || taken.ID != c.ID {
		t.Errorf("a name twice: %v", err)
	}
	if err := e.RenameContainer(c.ID, "two"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Container(ctx, "one"); err == nil {
		t.Error("the old name still leads to the container")
	}
	create(t, e, ContainerSpec{Name: "one"})
	create(t, e, ContainerSpec{Name: c.ID})
	if found, err := e.Container(ctx, c.ID); err != nil || found.ID != c.ID {
		t.Errorf("an ID that is another's name: %v, %v", found, err)
	}
	going := objectname.NewID() // a container whose record is gone already
	if err := os.Mkdir(e.dir(going), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{going, going[:20]} {
		if _, err := e.Container(ctx, ref); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	var missing *image.NotFoundError
	unready := errors.New("not ready")
	if _, err := e.CreateContainerWhen(ctx, ContainerSpec{Name: "two", Image: "busybox"}, func() error { return unready }); err != unready {
		t.Errorf("a container that was not to be: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(e.roots.Containers(), ".new-*")); len(left) > 0 {
		t.Errorf("it has left %q", left)
	}
	if _, err := e.CreateContainer(ctx, ContainerSpec{Name: "three", Image: "nothing"}); !errors.As(err, &missing) {
		t.Errorf("an unknown image: %v", err)
	}
}

func TestVolumeIsFilledFromTheImage(t *testing.T) {
	e := newEngine(t)
	spec := ContainerSpec{
		Name: "vv", Command: []string{"sh", "-c", "stat -c '%u:%g %a' /data /data/seed; echo more >> /data/seed; cat /data/seed"},
		Mounts: []Mount{{Type: "volume", Source: "shop", Target: "/data"}},
	}
	if text, _ := output(t, e, create(t, e, spec).ID); text != "5:6 750\n7:8 640\nseed\nmore\n" {
		t.Errorf("first use:\n%s", text)
	}
	spec.Name = "ww"
	if text, _ := output(t, e, create(t, e, spec).ID); text != "5:6 750\n7:8 640\nseed\nmore\nmore\n" {
		t.Errorf("second use:\n%s", text)
	}
}

func TestMissingBindSource(t *testing.T) {
	e := newEngine(t)
	dir := t.TempDir()
	_, err := e.CreateContainer(context.Background(), ContainerSpec{Name: "nn", Image: "busybox", Mounts: []Mount{{Type: "bind", Source: dir + "/none", Target: "/x"}}})
	if err == nil || !strings.Contains(err.Error(), "bind source path does not exist: "+dir+"/none") {
		t.Errorf("a missing source: %v", err)
	}
}

func TestWritableLayerOutlivesARestart(t *testing.T) {
	e := newEngine(t)
	c := create(t, e, ContainerSpec{Name: "rr", Command: []string{"sh", "-c", "cat /note; echo again >> /note"}})
	output(t, e, c.ID)
	if text, _ := output(t, e, c.ID); text != "again\n" {
		t.Errorf("second run: %q", text)
	}
}

// TestTwoContainersOnANetwork reaches one container from another by its alias,
// and runs a command inside one that runs.
func TestTwoContainersOnANetwork(t *testing.T) {
	e := newEngine(t)
	ctx := context.Background()
	if _, err := e.Networks().CreateNetwork(ctx, netbridge.NetworkConfig{Name: "net"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Networks().RemoveNetwork(ctx, "net"); err != nil {
			t.Error(err)
		}
	})
	server := create(t, e, ContainerSpec{
		Name: "server", Command: []string{"sh", "-c", "mkdir /www; echo served > /www/index.html; exec httpd -f -h /www"},
		Networks: []netbridge.EndpointConfig{{Network: "net", Aliases: []string{"web"}}},
	})
	run, err := e.Start(ctx, server, Stdio{}, func(*Started) {}, func(*Started) {})
	if err != nil {
		t.Fatal(err)
	}
	state := &State{Status: Running, PID: run.PID, PIDStart: run.StartTicks, Endpoints: run.Sandbox.Endpoints()}
	if err := e.WriteState(server.ID, state); err != nil {
		t.Fatal(err)
	}
	client := create(t, e, ContainerSpec{
		Name: "client", Command: []string{"sh", "-c", "for i in 1 2 3 4 5 6 7 8; do wget -q -O - http://web/ 2>/dev/null && break; sleep 0.2; done"},
		Networks: []netbridge.EndpointConfig{{Network: "net"}},
	})
	if text, _ := output(t, e, client.ID); text != "served\n" {
		t.Errorf("fetched %q", text)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	x, err := e.Exec(ctx, server.ID, ExecSpec{Args: []string{"cat", "/www/index.html"}}, Stdio{Stdout: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(r); string(text) != "served\n" {
		t.Errorf("exec printed %q", text)
	}
	if _, err := runtime.Reap(x.PID); err != nil {
		t.Error(err)
	}
	if err := e.RemoveContainer(ctx, server.ID, RemoveOptions{}); err == nil || !strings.Contains(err.Error(), "container is running") {
		t.Errorf("a running container was removed: %v", err)
	}
	if err := e.Kill(run, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	stop(t, e, server.ID, run)
	state.Status = Exited
	if err := e.WriteState(server.ID, state); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Exec(ctx, server.ID, ExecSpec{Args: []string{"id"}}, Stdio{}); err == nil || !strings.Contains(err.Error(), "is not running") {
		t.Errorf("exec in a stopped container: %v", err)
	}
}
