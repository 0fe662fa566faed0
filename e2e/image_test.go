package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestImageLs lists images by name, property and form.
func TestImageLs(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("ctx", "Dockerfile", "FROM busybox\nARG N\nLABEL tier=$N\n")
	for _, n := range []string{"one", "two"} {
		h.docker("build", "-q", "--build-arg", "N="+n, "-t", "team/app:"+n, dir).ok()
		time.Sleep(10 * time.Millisecond)
	}
	h.docker("build", "-q", "--build-arg", "N=three", dir).ok() // dangling
	names := func(args ...string) string {
		t.Helper()
		out := h.docker(append([]string{"image", "ls", "--format", "{{.Repository}}:{{.Tag}}"}, args...)...).ok().stdout
		lines := strings.Fields(out)
		return strings.Join(lines, " ")
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"team/app"}, "team/app:two team/app:one"},
		{[]string{"team/*"}, "team/app:two team/app:one"},
		{[]string{"team/app:one"}, "team/app:one"},
		{[]string{"nothing"}, ""},
		{[]string{"--filter", "dangling=true"}, "<none>:<none>"},
		{[]string{"-a", "-f", "dangling=false", "-f", "label=tier"}, "team/app:two team/app:one"},
		{[]string{"--filter", "label=tier=one"}, "team/app:one"},
		{[]string{"--filter", "since=team/app:one", "--filter", "dangling=false"}, "team/app:two"},
		{[]string{"--filter", "before=team/app:two", "--filter", "label=tier"}, "team/app:one"},
		{[]string{"--filter", "reference=*box"}, "busybox:latest"},
	} {
		if got := names(c.args...); got != c.want {
			t.Errorf("image ls %q: %s, want %s", c.args, got, c.want)
		}
	}
	h.docker("image", "ls", "--filter", "colour=red").fails(1, "invalid filter 'colour'")
	if out := h.docker("images", "--digests").ok().stdout; !regexp.MustCompile(`^REPOSITORY +TAG +DIGEST +IMAGE ID +CREATED +SIZE\n`).MatchString(out) {
		t.Errorf("images --digests printed\n%s", out)
	}
	if out := h.docker("images", "--format", "json", "busybox").ok().stdout; !regexp.MustCompile(`^\{"Containers":"N/A","CreatedAt":"\d.*","CreatedSince":".* ago","Digest":"<none>","ID":"[0-9a-f]{12}","Repository":"busybox","SharedSize":"N/A","Size":"\S+MB","Tag":"latest","UniqueSize":"N/A"\}\n$`).MatchString(out) {
		t.Errorf("images --format json printed\n%s", out)
	}
	if out := h.docker("images", "-q", "--no-trunc", "busybox").ok().stdout; !regexp.MustCompile(`^sha256:[0-9a-f]{64}\n$`).MatchString(out) {
		t.Errorf("images -q printed %s", out)
	}
}

// TestPullShown compares what pulling says with Docker's words.
func TestPullShown(t *testing.T) {
	t.Parallel()
	address := startRegistry(t, "")
	h := newHost(t)
	h.busybox("busybox")
	h.twoLayers("app", "text")
	for _, tag := range []string{"latest", "old"} {
		h.docker("tag", "app", address+"/app:"+tag).ok()
		h.docker("push", "-q", address+"/app:"+tag).ok()
	}
	other := newHost(t)
	shown := other.docker("pull", address+"/app").ok().stdout
	if !regexp.MustCompile(`^Using default tag: latest
latest: Pulling from app
(?s:.*)[0-9a-f]{12}: Pull complete
(?s:.*)Digest: sha256:[0-9a-f]{64}
Status: Downloaded newer image for ` + address + `/app:latest
` + address + `/app:latest
$`).MatchString(shown) {
		t.Errorf("docker pull printed\n%s", shown)
	}
	again := other.docker("pull", address+"/app:latest").ok().stdout
	if !strings.Contains(again, "Status: Image is up to date for "+address+"/app:latest\n") || strings.Contains(again, "default tag") {
		t.Errorf("docker pull again printed\n%s", again)
	}
	other.docker("pull", "-a", address+"/app:old").fails(1, "tag can't be used with --all-tags")
	other.docker("pull", "-a", "-q", address+"/app").ok()
	other.docker("image", "inspect", address+"/app:old").ok()

	third := newHost(t)
	s := third.onScreen(third.root, 30, 120, "docker", "pull", address+"/app")
	s.ends(0)
	s.shows(": Pull complete")
}

// TestComposePush builds and pushes what a Compose file says.
func TestComposePush(t *testing.T) {
	t.Parallel()
	address := startRegistry(t, "")
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("shop", "Dockerfile", "FROM busybox\nRUN echo made >/made\nCMD cat /made\n", "compose.yml", fmt.Sprintf(`
services:
  app:
    image: %[1]s/shop/app
    build:
      context: .
      tags: [%[1]s/shop/app:tagged]
  cache:
    image: busybox
`, address))
	h.in(dir, "push").fails(1, "An image does not exist locally with the tag: "+address+"/shop/app")
	h.in(dir, "push", "--ignore-push-failures").ok()
	h.in(dir, "build", "--push").ok()
	if out := h.in(dir, "push").ok(); !strings.Contains(out.stderr, "cache  Skipped") || !strings.Contains(out.stderr, "Image "+address+"/shop/app  Pushed") {
		t.Errorf("push printed\n%s", out.stderr)
	}
	other := newHost(t)
	for _, tag := range []string{"", ":tagged"} {
		other.docker("run", "--rm", address+"/shop/app"+tag).ok().says("made")
	}
	h.docker("build", "--push", dir).fails(1, "tag is needed when pushing to registry")
	h.docker("build", "--push", "-t", address+"/direct", dir).ok()
	other.docker("run", "--rm", address+"/direct").ok().says("made")
}
