package e2e

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/rand"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// TestPowerLoss takes the power away before each sync of commands and at their
// ends. The next boot finds what was synced and, of the rest, as little as a file
// system may leave: then the same command has to do its work, and what a
// command has reported done before has to be there.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	ref := servedImage(t)
	h := newHost(t)
	mount(t, h.root)
	context := h.project("context", "Dockerfile", "FROM "+ref+"\nCOPY one /one\nCOPY one /two\nENV a=b\n", "one/file", "of the context")
	archive := filepath.Join(context, "..", "import.tar")
	writeFile(t, archive, plainTar(t, map[string]string{"etc/imported": "once"}), 0o644)
	dir := h.project("lost", "compose.yml", "services:\n  app:\n    image: "+ref+"\n    command: none\n    volumes: ['data:/data']\nvolumes: {data: }\n")
	steps := []struct {
		dir  string
		args []string
		done func(when string) // looks, on a machine that has just booted, for what it has done
	}{
		{h.root, []string{"volume", "create", "alone"}, func(when string) { h.has(when, "volume", "inspect", "alone") }},
		{h.root, []string{"image", "import", archive, "imported"}, func(when string) { h.has(when, "image", "inspect", "imported") }},
		{h.root, []string{"image", "pull", ref}, func(when string) { h.has(when, "image", "inspect", ref) }},
		{context, []string{"image", "build", "-t", "built", "."}, func(when string) { h.has(when, "image", "inspect", "built") }},
		{h.root, []string{"container", "create", "--name", "plain", ref, "none"}, func(when string) {
			if r := h.compose("container", "inspect", "plain"); r.code != 0 {
				t.Errorf("%s: %s", when, r.stderr)
			}
			// Its name is not given away a second time.
			h.compose("container", "create", "--name", "plain", ref, "none").fails(1, "is already in use")
		}},
		{dir, []string{"create"}, func(when string) {
			h.has(when, "container", "inspect", "lost-app-1")
			h.has(when, "network", "inspect", "lost_default")
			for path, want := range filesOfImage {
				if got, err := os.ReadFile(filepath.Join(h.root, "volumes/lost_data/_data", filepath.Base(path))); strings.HasPrefix(path, "data/") && string(got) != want {
					t.Errorf("%s: the volume's %s: %v, %d bytes", when, path, err, len(got))
				}
			}
		}},
	}
	r := newRecorder(t, h.root)
	var upTo []int // moments, by the step that they belong to
	for _, s := range steps {
		r.run(h, s.dir, s.args...)
		upTo = append(upTo, len(r.found))
	}
	whole := files(t, h.root, "layers", "images/blobs")
	takeAway := func() {
		h.compose("container", "rm", "-f", "plain")
		h.in(dir, "down", "-v").ok()
		unmount(t, h.root)
	}
	takeAway()
	if n := len(r.found); n < 30 {
		t.Errorf("only %d moments were found: are there no syncs?", n)
	}
	t.Logf("%d moments", len(r.found))

	step := 0
	for i, m := range r.found {
		for i >= upTo[step] {
			step++
		}
		mount(t, h.root)
		if err := m.lay(h.root); err != nil {
			t.Fatal(err)
		}
		for n, s := range steps[:step+1] {
			if n < step || m.ended {
				s.done(m.when)
			}
		}
		out := h.in(steps[step].dir, steps[step].args...)
		if out.code != 0 && !strings.Contains(out.stderr, "is already in use") {
			t.Errorf("%s: the same command once more: %s%s", m.when, out.stdout, out.stderr)
		}
		steps[step].done(m.when + ", and the same command once more")
		for _, wrong := range differ(files(t, h.root, "layers", "images/blobs"), whole) {
			t.Errorf("%s, and the same command once more: %s", m.when, wrong)
		}
		takeAway()
		if t.Failed() {
			t.Logf("step %v failed first at %s", steps[step].args, m.when)
			return
		}
	}
}

// has looks for what a command has reported done.
func (h *host) has(when string, args ...string) {
	h.t.Helper()
	if r := h.compose(args...); r.code != 0 {
		h.t.Errorf("%s: %s: %s", when, r.line, r.stderr)
	}
}

// filesOfImage are those of the image that servedImage makes.
var filesOfImage = map[string]string{
	"etc/one":    "the first layer's",
	"data/small": "a volume's first file",
	"data/large": noise(70_000),
	"usr/large":  noise(90_000),
}

func noise(n int) string {
	data := make([]byte, n)
	rand.New(rand.NewSource(int64(n))).Read(data)
	return string(data)
}

// servedImage is the name of an image of two layers in a registry.
func servedImage(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	img := empty.Image
	for _, prefix := range []string{"etc/", "data/"} {
		some := map[string]string{}
		for path, content := range filesOfImage {
			if strings.HasPrefix(path, prefix) || prefix == "etc/" && strings.HasPrefix(path, "usr/") {
				some[path] = content
			}
		}
		data := plainTar(t, some)
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(data)), nil })
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			t.Fatal(err)
		}
	}
	ref := strings.TrimPrefix(server.URL, "http://") + "/lost:1"
	target, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(target, img); err != nil {
		t.Fatal(err)
	}
	return ref
}

func plainTar(t *testing.T, content map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	var paths []string
	for path := range content {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		if err := w.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: int64(len(content[path]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content[path]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// files reads all files that layers and blobs consist of, by their paths.
func files(t *testing.T, root string, tops ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, top := range tops {
		_ = filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			below, _ := filepath.Rel(root, path)
			part := strings.Split(below, "/")
			content := top == "images/blobs" || len(part) > 2 && part[2] == "fs"
			if err == nil && d.Type().IsRegular() && content && !strings.HasPrefix(part[1], ".") && !strings.HasPrefix(d.Name(), ".") {
				data, _ := os.ReadFile(path)
				found[below] = string(data)
			}
			return nil
		})
	}
	return found
}

// differ says what is other in got than in want; what want has more may still come.
func differ(got, want map[string]string) (wrong []string) {
	layers := map[string]bool{}
	for path := range got {
		layers[layerOf(path)] = true
	}
	for path, content := range want {
		if has, there := got[path]; there && has != content {
			wrong = append(wrong, fmt.Sprintf("%s has %d bytes, and not its %d", path, len(has), len(content)))
		} else if !there && layers[layerOf(path)] && strings.HasPrefix(path, "layers/") {
			wrong = append(wrong, path+" is missing from its layer")
		}
	}
	return wrong
}

// layerOf is the directory that a layer's files are in.
func layerOf(path string) string {
	part := strings.SplitN(path, "/", 3)
	return strings.Join(part[:min(len(part), 2)], "/")
}

// mount puts an empty file system in a directory's place, which gives every
// file a number of its own.
func mount(t testing.TB, dir string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }) // of a test that failed
}

func unmount(t testing.TB, dir string) {
	t.Helper()
	var err error
	eventually(t, "unmount "+dir, func() error {
		err = syscall.Unmount(dir, 0)
		return err
	})
}
