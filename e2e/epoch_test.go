package e2e

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSourceDateEpoch builds the same on two hosts, at two times, of files
// with other times, and gets the same image, bit for bit.
func TestSourceDateEpoch(t *testing.T) {
	t.Parallel()
	base := filepath.Join(t.TempDir(), "base.tar")
	first := newHost(t)
	first.busybox("busybox")
	first.docker("save", "-o", base, "busybox").ok()
	dockerfile := `FROM busybox AS made
RUN mkdir -p /out/deep && echo hello >/out/deep/file && ln -s deep/file /out/link
FROM busybox
WORKDIR /work
COPY --chmod=640 . .
COPY --from=made --link /out /out
RUN mv /work/tree/old /work/tree/new && rm -r /out/deep
ENV A=b
`
	build := func(h *host, stamp time.Time, env ...string) (id, archive string) {
		t.Helper()
		h.docker("load", "-i", base).ok()
		dir := h.project("ctx", "Dockerfile", dockerfile, "tree/old", "text\n", "tree/sub/x", "x\n")
		for _, name := range []string{"tree/old", "tree/sub/x", "tree/sub", "tree", "Dockerfile", "."} {
			if err := os.Chtimes(filepath.Join(dir, name), stamp, stamp); err != nil {
				t.Fatal(err)
			}
		}
		h.withEnv(env, "", "build", "-t", "app", dir).ok()
		return strings.TrimSpace(h.docker("image", "inspect", "-f", "{{.Id}} {{.Created}}", "app").ok().stdout), h.saved("app")
	}
	at := []string{"SOURCE_DATE_EPOCH=1700000000"}
	id, archive := build(first, time.Now().Add(-time.Hour), at...)
	time.Sleep(1100 * time.Millisecond) // times in an archive are whole seconds
	other, otherArchive := build(newHost(t), time.Now(), at...)
	if id != other || !strings.HasSuffix(id, " 2023-11-14T22:13:20Z") {
		t.Errorf("the images are %s and %s", id, other)
	}
	if archive != otherArchive {
		t.Error("the archives differ")
	}
	// Files older than the epoch keep their time; without an epoch, the time is now.
	h := newHost(t)
	build(h, time.Unix(1600000000, 0), at...)
	h.docker("run", "--rm", "app", "stat", "-c", "%Y", "/work/tree/sub/x", "/out").ok().says("1600000000\n1700000000")
	if plain, _ := build(first, time.Now()); plain == id {
		t.Error("without the variable the image is the same: the test shows nothing")
	}
	dir := h.project("shop", "Dockerfile", dockerfile, "tree/old", "text\n", "compose.yml", "services: {app: {build: {context: .}}}\n")
	h.docker("build", "--build-arg", "SOURCE_DATE_EPOCH=soon", dir).fails(1, "SOURCE_DATE_EPOCH")
	h.withEnv(at, "", "compose", "--project-directory", dir, "-f", filepath.Join(dir, "compose.yml"), "build").ok()
	h.docker("image", "inspect", "-f", "{{.Created}}", "shop-app").says("2023-11-14T22:13:20Z")
}

// TestSourceDateEpochForms makes layers in every way in which times get into
// them, on two hosts, and wants the same archive of both.
func TestSourceDateEpochForms(t *testing.T) {
	t.Parallel()
	base := filepath.Join(t.TempDir(), "base.tar")
	first := newHost(t)
	first.busybox("busybox")
	first.docker("save", "-o", base, "busybox").ok()
	build := func(h *host) string {
		h.docker("load", "-i", base).ok()
		dir := h.project("forms", "tree/deep/file", "text\n", "old.tar", tarOf(t, "f", "archived\n", 1600000000), "Dockerfile", `FROM busybox AS other
RUN mkdir /made && echo made > /made/file
FROM busybox
COPY tree /work/tree
COPY --link tree /linked
COPY --from=other /made /made
COPY --from=other /etc/passwd /copied
ADD old.tar /unpacked
COPY <<EOF /here
document
EOF
RUN --mount=type=bind,target=/context cp -a /context/tree /tree; rm /etc/group; mkfifo /fifo; ln /here /same; ln -s nowhere /link; rm -r /root; mkdir /root
WORKDIR /dir
`)
		h.withEnv([]string{"SOURCE_DATE_EPOCH=1710000000"}, "", "build", "-t", "forms", dir).ok()
		return h.saved("forms")
	}
	one := build(first)
	time.Sleep(1100 * time.Millisecond)
	if two := build(newHost(t)); one != two {
		t.Error("the archives differ")
	}
	first.docker("run", "--rm", "forms", "sh", "-c", "touch -d @1710000000 /tmp/epoch; find /work /linked /made /copied /unpacked /here /tree /same /fifo /link /root /dir /bin -newer /tmp/epoch").says("")
	first.docker("run", "--rm", "forms", "stat", "-c", "%Y", "/linked/deep/file", "/made/file", "/unpacked/f", "/copied").says("1710000000\n1710000000\n1600000000\n1700000000")
}

// TestSourceDateEpochAndCache builds with what builds of other times have left
// in the cache: the image is the one that a host without a cache makes.
func TestSourceDateEpochAndCache(t *testing.T) {
	t.Parallel()
	base := filepath.Join(t.TempDir(), "base.tar")
	warm, cold := newHost(t), newHost(t)
	warm.busybox("busybox")
	warm.docker("save", "-o", base, "busybox").ok()
	cold.docker("load", "-i", base).ok()
	build := func(h *host, stamp int64, epoch string) string {
		t.Helper()
		dir := h.project("ctx", "Dockerfile", "FROM busybox\nCOPY tree /tree\nCOPY --link tree /linked\n", "tree/file", "text\n")
		for _, name := range []string{"tree/file", "tree"} {
			if err := os.Chtimes(filepath.Join(dir, name), time.Time{}, time.Unix(stamp, 0)); err != nil {
				t.Fatal(err)
			}
		}
		h.withEnv([]string{"SOURCE_DATE_EPOCH=" + epoch}, "", "build", "-t", "app", dir).ok()
		return strings.TrimSpace(h.docker("image", "inspect", "-f", "{{.Id}} {{.Created}}", "app").ok().stdout)
	}
	build(warm, 1600000000, "")
	build(warm, 1600000000, "1710000000")
	build(warm, 1650000000, "1700000000")
	if got, want := build(warm, 1650000000, "1710000000"), build(cold, 1650000000, "1710000000"); got != want || !strings.HasSuffix(got, " 2024-03-09T16:00:00Z") {
		t.Errorf("with a cache the image is %s, without one %s", got, want)
	}
	// A directory has no time of its own: nothing is pinned, and nothing fails.
	if got := build(warm, 1650000000, "context"); strings.HasSuffix(got, " 2024-03-09T16:00:00Z") {
		t.Errorf("the image is %s", got)
	}
}

// saved is an image's archive.
func (h *host) saved(ref string) string {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), "saved.tar")
	h.docker("save", "-o", path, ref).ok()
	data, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(data)
}

// tarOf is an archive with one file.
func tarOf(t *testing.T, name, text string, stamp int64) string {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(stamp, 0)}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}
