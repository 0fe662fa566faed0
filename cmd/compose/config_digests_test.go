package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// oneImage is a registry that has app:1 and nothing else.
func oneImage(t *testing.T) (host, digest string) {
	t.Helper()
	const mediaType = "application/vnd.oci.image.index.v1+json"
	index := []byte(`{"schemaVersion": 2, "mediaType": "` + mediaType + `", "manifests": []}`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v2/":
		case "/v2/app/manifests/1":
			w.Header().Set("Content-Type", mediaType)
			_, _ = w.Write(index)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), fmt.Sprintf("sha256:%x", sha256.Sum256(index))
}

// What Docker Compose prints here needs a daemon that asks registries, so these
// outputs are not recorded.
func TestConfigDigests(t *testing.T) {
	host, digest := oneImage(t)
	t.Chdir(t.TempDir())
	restoreEnv(t)
	os.Setenv("REG", host)
	file := `
name: p
services:
  a:
    image: REG/app:1
    command: run
    volumes: [{type: image, source: REG/app:1, target: /i}, {type: volume, target: /v}]
    pre_start: [{image: REG/app:1, command: ls}]
  pinned: {image: "REG/app@sha256:` + strings.Repeat("0", 64) + `"}
  built: {build: .}
`
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("compose.yaml", strings.ReplaceAll(file, "REG", host))

	pinned := host + "/app:1@" + digest
	for _, flags := range []string{"--resolve-image-digests", "--resolve-image-digests --no-interpolate"} {
		stdout, stderr, code := runInProcess(t, append([]string{"--root", "root", "config"}, strings.Fields(flags)...))
		if code != 0 || strings.Count(stdout, pinned) != 3 || strings.Count(stdout, "@sha256:000") != 1 || !strings.Contains(stdout, "command:") {
			t.Errorf("config %s: %d\n%s%s", flags, code, stdout, stderr)
		}
	}

	lock := "services:\n  a:\n    image: PINNED\n    volumes:\n      - type: image\n        source: PINNED\n        target: /i\n"
	for flags, want := range map[string]string{
		"--lock-image-digests": lock + "  built: {}\n  pinned:\n    image: REG/app@sha256:" + strings.Repeat("0", 64) + "\n",
		"--lock-image-digests --no-interpolate": strings.Replace(lock, "- type: image\n        source: PINNED\n        target: /i\n", "- source: PINNED\n        target: /i\n        type: image\n", 1) +
			"  built: {}\n  pinned:\n    image: REG/app@sha256:" + strings.Repeat("0", 64) + "\n",
	} {
		want = strings.ReplaceAll(strings.ReplaceAll(want, "PINNED", pinned), "REG", host)
		stdout, stderr, code := runInProcess(t, append([]string{"--root", "root", "config"}, strings.Fields(flags)...))
		if code != 0 || stdout != want {
			t.Errorf("config %s: %d\n%s\nand not\n%s", flags, code, stdout, want)
		}
		if !strings.Contains(stderr, `service "a": the images of pre_start hooks are left out`) {
			t.Errorf("config %s warns of\n%s", flags, stderr)
		}
	}

	write("compose.yaml", "services: {a: {image: "+host+"/nope:1}}")
	_, stderr, code := runInProcess(t, []string{"--root", "root", "config", "--resolve-image-digests"})
	if code != 1 || stderr != "manifest for "+host+"/nope:1 not found: manifest unknown: manifest unknown\n" {
		t.Errorf("an image that is not there: %d %s", code, stderr)
	}
}
