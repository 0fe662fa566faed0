package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fetch reads a manifest or blob of a registry.
func fetch(t *testing.T, url string) []byte {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header["Accept"] = []string{"application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	data, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", url, reply.Status, data, err)
	}
	return data
}

type artifact struct {
	ArtifactType string
	Config       struct{ MediaType string }
	Layers       []struct {
		MediaType, Digest string
		Annotations       map[string]string
	}
}

const shopFiles = `
services:
  web:
    image: ADDRESS/base:1
    command: sleep 600
    stop_grace_period: 0s
    env_file: ["./web.env"]
    environment: {NAME: "${NAME:-nobody}"}
    extends: {file: 'common.yaml', service: base} # kept
`

// TestPublish stores a project in a registry, looks at what is there, and runs
// it from there.
func TestPublish(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	address := startRegistry(t, "")
	h.busybox(address + "/base:1")
	h.docker("push", "-q", address+"/base:1").ok()
	dir := h.project("shop", "compose.yaml", strings.ReplaceAll(shopFiles, "ADDRESS", address), "over.yaml", "services: {web: {labels: {over: 'yes'}}}\n",
		"common.yaml", "services: {base: {user: guest}}\n", "web.env", "FROM_FILE=1\n")
	ref := address + "/apps/shop:1"
	manifest := func() (a artifact) {
		t.Helper()
		if err := json.Unmarshal(fetch(t, "http://"+address+"/v2/apps/shop/manifests/1"), &a); err != nil {
			t.Fatal(err)
		}
		return a
	}

	// What may be meant for us alone is asked about.
	asked := h.run(patience, dir, strings.NewReader("n\n"), "publish", ref)
	if asked.code != 130 || !strings.Contains(asked.stdout, `service "web": env_file`) {
		t.Errorf("declined: %d %s%s", asked.code, asked.stdout, asked.stderr)
	}
	h.in(dir, "--dry-run", "publish", "-y", ref).ok().says("publish 2 files as " + ref)
	if code := httpStatus(t, "http://"+address+"/v2/apps/shop/manifests/1"); code != http.StatusNotFound {
		t.Fatalf("something was published: %d", code)
	}

	h.in(dir, "-f", "compose.yaml", "-f", "over.yaml", "publish", "-y", ref).ok()
	a := manifest()
	if a.ArtifactType != "application/vnd.docker.compose.project" || a.Config.MediaType != "application/vnd.oci.empty.v1+json" || len(a.Layers) != 3 {
		t.Fatalf("the manifest: %+v", a)
	}
	var files []string
	for _, l := range a.Layers {
		data := string(fetch(t, "http://"+address+"/v2/apps/shop/blobs/"+l.Digest))
		files = append(files, l.Annotations["com.docker.compose.file"])
		if l.MediaType != "application/vnd.docker.compose.file+yaml" || strings.Contains(data, dir) || strings.Contains(data, "common.yaml") || strings.Contains(data, "web.env") {
			t.Errorf("%v: %s", l, data)
		}
		if files[0] == "compose.yaml" && len(files) == 1 && (!strings.Contains(data, `"${NAME:-nobody}"`) || !strings.Contains(data, ".yaml, service: base} # kept")) {
			t.Errorf("the file is not as it was written: %s", data)
		}
	}
	if !slices.Contains(files, "compose.yaml") || !slices.Contains(files, "over.yaml") {
		t.Errorf("files %q", files)
	}

	// From there, on another host, with the environment's file and the images' digests.
	h.in(dir, "-f", "compose.yaml", "-f", "over.yaml", "publish", "--with-env", "--resolve-image-digests", "-y", ref).ok()
	if a = manifest(); len(a.Layers) != 5 || a.Layers[3].MediaType != "application/vnd.docker.compose.envfile" {
		t.Fatalf("the manifest: %+v", a)
	}
	other := newHost(t)
	away := t.TempDir()
	remote := []string{"-f", "oci://" + ref, "-p", "remote"}
	config := other.in(away, append(remote, "config")...).ok().stdout
	if !strings.Contains(config, "image: "+address+"/base:1@sha256:") || !strings.Contains(config, "FROM_FILE:") || !strings.Contains(config, "user: guest") || !strings.Contains(config, "over: ") {
		t.Errorf("config: %s", config)
	}
	other.in(away, append(remote, "up", "-d", "-y")...).ok()
	other.in(away, "-p", "remote", "exec", "-T", "web", "sh", "-c", "echo $NAME $FROM_FILE; id -un").ok().says("nobody 1\nguest")
	other.in(away, append(remote, "down")...).ok()
	// And from another file's include.
	write(t, filepath.Join(away, "compose.yaml"), "name: outer\ninclude: ['oci://"+ref+"']\n")
	other.in(away, "config", "--services").ok().says("web")
	other.in(away, "publish", "-y", address+"/apps/outer:1").ok()

	// Old registries, and the images with it.
	h.in(dir, "publish", "--oci-version", "1.0", "--with-env", "-y", ref).ok()
	if a = manifest(); a.ArtifactType != "" || a.Config.MediaType != "application/vnd.docker.compose.config.empty.v1+json" {
		t.Errorf("version 1.0: %+v", a)
	}
	other.in(away, append(remote, "config", "-q")...).ok()
	h.in(dir, "publish", "--app", "--with-env", "-y", ref).ok()
	var base struct{ Config struct{ Digest string } }
	if err := json.Unmarshal(h.dockerManifest(address, "base", "1"), &base); err != nil {
		t.Fatal(err)
	}
	fetch(t, "http://"+address+"/v2/apps/shop/blobs/"+base.Config.Digest)
	h.in(dir, "publish", "--oci-version", "2", "-y", ref).fails(1, "unsupported OCI version: 2")
}

func httpStatus(t *testing.T, url string) int {
	t.Helper()
	reply, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	reply.Body.Close()
	return reply.StatusCode
}

func (h *host) dockerManifest(address, repo, tag string) []byte {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+address+"/v2/"+repo+"/manifests/"+tag, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header["Accept"] = []string{"application/vnd.docker.distribution.manifest.v2+json"}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer reply.Body.Close()
	data, err := io.ReadAll(reply.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return data
}

// TestPublishRefused tries what must not be published.
func TestPublishRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	built := h.project("built", "compose.yaml", "services: {web: {build: .}}\n", "Dockerfile", "FROM scratch\n")
	h.in(built, "publish", "-y", "127.0.0.1:1/x:1").fails(1, "it only contains a build section for service(s)", `- "web"`)
	included := h.project("included", "compose.yaml", "include: [other.yaml]\n", "other.yaml", "services: {web: {image: x}}\n")
	h.in(included, "publish", "-y", "127.0.0.1:1/x:1").fails(1, "cannot publish compose file with local includes")
	for file, question := range map[string]string{
		"services: {web: {image: x, volumes: ['./a:/b']}}\n":                                                                  "web: ",
		"services: {web: {image: x, environment: {DB_PASSWORD: hunter2}}}\n":                                                  `service "web": environment.DB_PASSWORD`,
		"services: {web: {image: x, environment: {A: AKIAIOSFODNN7EXAMPLE}}}\n":                                               `service "web": environment.A`,
		"services: {web: {image: x, configs: [c]}}\nconfigs: {c: {content: literal}}\n":                                       "c",
		"services: {web: {image: x, env_file: [{path: .none, required: false}]}}\nconfigs: {c: {content: '${INTERPOLATED}'}}": `service "web": env_file`,
	} {
		dir := h.project("asked", "compose.yaml", file)
		r := h.run(patience, dir, bytes.NewReader(nil), "publish", "127.0.0.1:1/x:1")
		if r.code != 130 || !strings.Contains(r.stdout, "\n  "+question) || !strings.Contains(r.stdout, "Are you ok to publish these? [yN]") {
			t.Errorf("%s: %d %s%s", file, r.code, r.stdout, r.stderr)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	// Names of variables are nobody's secret.
	dir := h.project("plain", "compose.yaml", "services: {web: {image: x, environment: {DB_PASSWORD: '${DB_PASSWORD}'}}}\n")
	h.in(dir, "--dry-run", "publish", "127.0.0.1:1/x:1").ok().says("publish 1 files as 127.0.0.1:1/x:1")
}
