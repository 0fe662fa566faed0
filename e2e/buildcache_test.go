package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// drawn is a Dockerfile whose steps give something else each time they run.
const drawn = `FROM busybox AS maker
RUN head -c 8 /dev/urandom | md5sum > /made
FROM busybox
COPY --from=maker /made /made
RUN head -c 8 /dev/urandom | md5sum > /own
CMD cat /made /own
`

// TestBuildCacheElsewhere hands what one host has built to others, through a
// directory and a registry.
func TestBuildCacheElsewhere(t *testing.T) {
	t.Parallel()
	address := startRegistry(t, "")
	dir := filepath.Join(t.TempDir(), "cache")
	base := filepath.Join(t.TempDir(), "base.tar")
	h := newHost(t)
	h.busybox("busybox")
	h.docker("save", "-o", base, "busybox").ok()
	build := func(h *host, dockerfile string, args ...string) (id string) {
		t.Helper()
		h.docker("load", "-i", base).ok()
		ctx := h.project("ctx", "Dockerfile", dockerfile)
		h.docker(append(append([]string{"build", "-t", "app"}, args...), ctx)...).ok()
		again := h.docker("build", "-t", "app", ctx).ok() // everything is this host's own by now
		if n := strings.Count(again.stderr, " CACHED\n"); n < 3 {
			t.Errorf("%d steps are remembered without the cache:\n%s", n, again.stderr)
		}
		return strings.TrimSpace(h.docker("image", "inspect", "-f", "{{.Id}}", "app").ok().stdout)
	}
	for _, c := range []struct{ name, to, from string }{
		{"directory", "type=local,dest=" + dir + ",mode=max", "type=local,src=" + dir},
		{"registry", "type=registry,ref=" + address + "/cache:max,mode=max", address + "/cache:max"},
		{"registry, result only", "type=registry,ref=" + address + "/cache:min", "type=registry,ref=" + address + "/cache:min"},
	} {
		t.Run(c.name, func(t *testing.T) {
			first := build(newHost(t), drawn, "--cache-from", c.from, "--cache-to", c.to)
			if other := build(newHost(t), drawn, "--cache-from", c.from); other != first {
				t.Errorf("with the cache another host made %s, not %s", other, first)
			}
			if other := build(newHost(t), drawn); other == first {
				t.Fatal("without a cache the image is the same: the test shows nothing")
			}
			// What follows on a step that nobody kept the files of has it run.
			h := newHost(t)
			build(h, strings.Replace(drawn, "COPY --from=maker /made /made", "COPY --from=maker /made /moved\nRUN mv /moved /made", 1), "--cache-from", c.from)
			if out := h.docker("run", "--rm", "app").ok().stdout; strings.Count(out, "\n") != 2 {
				t.Errorf("the image says %q", out)
			}
		})
	}

	// A damaged cache costs time and nothing else.
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs/sha256/*"))
	if err != nil || len(blobs) < 4 {
		t.Fatalf("blobs of the cache: %v %v", blobs, err)
	}
	for _, b := range blobs {
		data, err := os.ReadFile(b)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 2 && data[0] == 0x1f {
			data[len(data)/2] ^= 0xff
		}
		if err := os.WriteFile(b, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h = newHost(t)
	build(h, drawn, "--cache-from", "type=local,src="+dir)

	// One that is not there is told of.
	ctx := h.project("ctx", "Dockerfile", drawn)
	if log := h.docker("build", "--cache-from", address+"/nothing", ctx).ok().stderr; !regexp.MustCompile(`(#\d+) importing cache manifest from ` + address + `/nothing\n#\d+ ERROR: not found\n`).MatchString(log) {
		t.Errorf("without a cache:\n%s", log)
	}
	for arg, want := range map[string]string{
		"type=gha":                "caches of type \"gha\" are not supported",
		"type=registry":           "needs ref=NAME",
		"type=local,src=x,mode=1": "mode=1 is not supported",
	} {
		h.docker("build", "--cache-from", arg, ctx).fails(1, "--cache-from", want)
	}
}

// TestComposeBuildCache has a Compose file name the caches.
func TestComposeBuildCache(t *testing.T) {
	t.Parallel()
	address := startRegistry(t, "")
	var made []string
	for range 2 {
		h := newHost(t)
		h.busybox("busybox")
		dir := h.project("shop", "Dockerfile", drawn, "compose.yml", fmt.Sprintf(`
services:
  app:
    build:
      context: .
      cache_from: [%[1]s/shop/cache]
      cache_to: ["type=registry,ref=%[1]s/shop/cache,mode=max", "type=local,dest=kept"]
`, address))
		if out := h.in(dir, "build").ok(); strings.Contains(out.stderr, "cache_") {
			t.Errorf("warned:\n%s", out.stderr)
		}
		if _, err := os.Stat(filepath.Join(dir, "kept/index.json")); err != nil {
			t.Error(err)
		}
		made = append(made, h.docker("image", "inspect", "-f", "{{.RootFS.Layers}}", "shop-app").ok().stdout)
	}
	if made[0] != made[1] {
		t.Errorf("the hosts made %s and %s", made[0], made[1])
	}
}
