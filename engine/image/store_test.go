package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"

	"compose/internal/roots"
)

func newStore(t testing.TB) (*Store, string) {
	t.Helper()
	dir := t.TempDir()
	r, err := roots.New(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(r)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func archive(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range entries {
		body := []byte("content of " + h.Name)
		if h.Typeflag == 0 || h.Typeflag == tar.TypeReg {
			h.Size = int64(len(body))
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write(body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestImport(t *testing.T) {
	s, _ := newStore(t)
	ctx := context.Background()
	img, err := s.Import(ctx, bytes.NewReader(archive(t, tar.Header{Name: "etc/", Typeflag: tar.TypeDir}, tar.Header{Name: "etc/motd", Mode: 0o640, Uid: 7, Gid: 8})),
		"greeter:1", ImportOptions{Changes: []string{`CMD ["cat", "/etc/motd"]`, "ENV A=b", "USER 7", "WORKDIR /etc", "EXPOSE 80"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := img.Config.Config; strings.Join(got.Cmd, " ") != "cat /etc/motd" || got.Env[0] != "A=b" || got.User != "7" || got.WorkingDir != "/etc" {
		t.Errorf("configuration: %+v", got)
	}
	for _, ref := range []string{"greeter:1", "docker.io/library/greeter:1", img.ID, strings.TrimPrefix(img.ID, "sha256:")[:12]} {
		if found, err := s.Get(ctx, ref); err != nil || found.ID != img.ID {
			t.Errorf("%s: %v, %v", ref, found, err)
		}
	}
	var missing *NotFoundError
	if _, err := s.Get(ctx, "greeter"); !errors.As(err, &missing) {
		t.Errorf("greeter:latest: %v", err)
	}
	lowers, err := s.Lowers(ctx, img.ID)
	if err != nil || len(lowers) != 1 {
		t.Fatalf("%v, %v", lowers, err)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(lowers[0], "etc/motd"), &st); err != nil || st.Uid != 7 || st.Gid != 8 || st.Mode&0o7777 != 0o640 {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestKnownIndex has another process change the index while this one knows it,
// and a caller change what it was given.
func TestKnownIndex(t *testing.T) {
	s, _ := newStore(t)
	ctx := context.Background()
	img, err := s.Import(ctx, bytes.NewReader(archive(t, tar.Header{Name: "a"})), "one", ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := Open(s.roots)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // its files' numbers come again
		for _, change := range []func() error{
			func() error { return other.Tag(ctx, "one", "two") },
			func() error { _, err := other.Remove(ctx, "two", RemoveOptions{}); return err },
		} {
			before, err := s.Get(ctx, "one")
			if err != nil {
				t.Fatal(err)
			}
			before.Layers[0].ChainID = "none"
			if err := change(); err != nil {
				t.Fatal(err)
			}
			after, err := s.Get(ctx, "one")
			if err != nil || len(after.RepoTags) == len(before.RepoTags) || after.Layers[0] != img.Layers[0] {
				t.Fatalf("%v became %v (layers %v), %v", before.RepoTags, after.RepoTags, after.Layers, err)
			}
		}
	}
	if _, err := s.Lowers(ctx, "sha256:none"); !errors.As(err, new(*NotFoundError)) {
		t.Errorf("the layers of no image: %v", err)
	}
}

func TestRemove(t *testing.T) {
	s, dir := newStore(t)
	ctx := context.Background()
	img, err := s.Import(ctx, bytes.NewReader(archive(t, tar.Header{Name: "a"})), "one", ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Tag(ctx, "one", "two:2"); err != nil {
		t.Fatal(err)
	}
	if done, err := s.Remove(ctx, "one", RemoveOptions{}); err != nil || len(done) != 1 || done[0].Untagged != "one:latest" {
		t.Errorf("%v, %v", done, err)
	}
	var used *InUseError
	_, err = s.Remove(ctx, "two:2", RemoveOptions{InUse: func(id string) []string { return []string{"c1"} }})
	if !errors.As(err, &used) || used.ID != img.ID {
		t.Errorf("an image in use: %v", err)
	}
	if _, err := s.Remove(ctx, "two:2", RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "layers"))
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestCommitLayer(t *testing.T) {
	s, dir := newStore(t)
	ctx := context.Background()
	upper := filepath.Join(dir, "upper")
	if err := os.MkdirAll(filepath.Join(upper, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(upper, "d/f"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(upper, "gone"), unix.S_IFCHR, 0); err != nil {
		t.Fatal(err)
	}
	l, err := s.CommitLayer(ctx, "", upper)
	if err != nil {
		t.Fatal(err)
	}
	img, err := s.CreateImage(ctx, img0(), []Layer{l}, []string{"built"})
	if err != nil || len(img.Layers) != 1 || img.Config.RootFS.DiffIDs[0] != l.DiffID {
		t.Fatalf("%v, %v", img, err)
	}
	// What a registry would get of it makes the very same layer again.
	other, _ := newStore(t)
	fs, _ := s.LayerByChainID(l.ChainID)
	var stream bytes.Buffer
	if _, err := unpackArchive(fs, &stream); err != nil {
		t.Fatal(err)
	}
	again, err := other.unpackLayer(ctx, "", &stream)
	if err != nil || again.DiffID != l.DiffID {
		t.Errorf("%v, %v, want %s", again.DiffID, err, l.DiffID)
	}
	dir2, _ := other.LayerByChainID(again.ChainID)
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dir2, "gone"), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0 {
		t.Errorf("the whiteout: %+v, %v", st, err)
	}
}

// pushed makes a registry that holds one image of two layers.
func pushed(t *testing.T, wrap func(http.Handler) http.Handler) (ref string) {
	t.Helper()
	var handler http.Handler = registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	ref = strings.TrimPrefix(server.URL, "http://") + "/team/app:v1"
	var layers []v1.Layer
	for _, content := range [][]byte{archive(t, tar.Header{Name: "a"}), archive(t, tar.Header{Name: "b"})} {
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, l)
	}
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	target, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(target, img); err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestPull(t *testing.T) {
	s, dir := newStore(t)
	ref := pushed(t, nil)
	var complete int
	if _, err := s.Pull(context.Background(), ref, PullOptions{Platform: "/"}); err == nil {
		t.Error("a platform without names was taken")
	}
	img, err := s.Pull(context.Background(), ref, PullOptions{Progress: func(p Progress) {
		if p.Status == "Pull complete" {
			complete++
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if complete != 2 || len(img.Layers) != 2 || len(img.RepoDigests) != 1 || img.RepoTags[0] != ref {
		t.Errorf("%d complete, %+v", complete, img)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "images", "partial")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := s.Pull(context.Background(), strings.Replace(ref, ":v1", ":v2", 1), PullOptions{}); err == nil || !strings.Contains(err.Error(), "manifest unknown") {
		t.Errorf("an unknown tag: %v", err)
	}
	if _, err := s.Pull(context.Background(), "127.0.0.1:1/x/y", PullOptions{}); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("no registry: %v", err)
	}
}

// TestPullUnsynced pulls an image whose layers are there in name: one that a
// build staged before a power loss, and one without its files.
func TestPullUnsynced(t *testing.T) {
	s, _ := newStore(t)
	ref := pushed(t, nil)
	img, err := s.Pull(context.Background(), ref, PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first, second := filepath.Join(s.layers, layerName(img.Layers[0].ChainID)), filepath.Join(s.layers, layerName(img.Layers[1].ChainID))
	if err := os.WriteFile(filepath.Join(first, unsynced), []byte("the boot before"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Truncate(filepath.Join(first, "fs", "a"), 0), os.RemoveAll(filepath.Join(second, "fs"))); err != nil {
		t.Fatal(err)
	}
	if img, err = s.Pull(context.Background(), ref, PullOptions{}); err != nil {
		t.Fatal(err)
	}
	lowers, err := s.Lowers(context.Background(), img.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"b", "a"} {
		if data, err := os.ReadFile(filepath.Join(lowers[i], name)); err != nil || len(data) == 0 {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
}

// TestPullResumes breaks every first transfer of a blob and refuses one in between.
func TestPullResumes(t *testing.T) {
	s, _ := newStore(t)
	var tries, ranges int
	ref := pushed(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
				next.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			from := r.Header.Get("Range")
			r.Header.Del("Range")
			next.ServeHTTP(rec, r)
			body := rec.Body.Bytes()
			if rec.Code != http.StatusOK || bytes.Contains(body, []byte(`"rootfs"`)) {
				w.WriteHeader(rec.Code)
				_, _ = w.Write(body)
				return
			}
			tries++
			switch {
			case from != "":
				ranges++
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(body[len(body)/2:])
			case tries%2 == 1:
				w.WriteHeader(http.StatusTooManyRequests)
			default:
				w.Header().Set("Content-Length", "1000000")
				_, _ = w.Write(body[:len(body)/2])
			}
		})
	})
	img, err := s.Pull(context.Background(), ref, PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ranges == 0 || len(img.Layers) != 2 {
		t.Errorf("%d ranges were asked for, %d layers came", ranges, len(img.Layers))
	}
}

func TestPullRefusesOtherContent(t *testing.T) {
	s, dir := newStore(t)
	ref := pushed(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			body := rec.Body.Bytes()
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") && !bytes.Contains(body, []byte(`"rootfs"`)) {
				body[len(body)/2] ^= 1
			}
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			w.WriteHeader(rec.Code)
			_, _ = w.Write(body)
		})
	})
	if _, err := s.Pull(context.Background(), ref, PullOptions{}); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("corrupted layers: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "layers")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
