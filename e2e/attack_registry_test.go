package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// evilRegistry serves one image and lets edit spoil what it says. It asks for a
// password as soon as one is set.
type evilRegistry struct {
	password string
	blobs    map[string][]byte
	manifest []byte
	edit     func(w http.ResponseWriter, r *http.Request, body []byte) bool // true: answered
}

func digestOf(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

func newEvilRegistry(t *testing.T) (*evilRegistry, string) {
	t.Helper()
	var plain, packed bytes.Buffer
	w := tar.NewWriter(&plain)
	_ = w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: 4})
	_, _ = w.Write([]byte("good"))
	_ = w.Close()
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(plain.Bytes())
	_ = z.Close()
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%q]}}`, digestOf(plain.Bytes()))
	e := &evilRegistry{blobs: map[string][]byte{digestOf(config): config, digestOf(packed.Bytes()): packed.Bytes()}}
	e.manifest = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},
"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":%q,"size":%d}]}`,
		digestOf(config), len(config), digestOf(packed.Bytes()), packed.Len())
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	return e, strings.TrimPrefix(server.URL, "http://")
}

func (e *evilRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, password, _ := r.BasicAuth(); e.password != "" && password != e.password {
		w.Header().Set("WWW-Authenticate", `Basic realm="evil"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var body []byte
	switch {
	case strings.HasSuffix(r.URL.Path, "/v2/"):
	case strings.Contains(r.URL.Path, "/manifests/"):
		body = e.manifest
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	default:
		body = e.blobs[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
	}
	if e.edit == nil || !e.edit(w, r, body) {
		_, _ = w.Write(body)
	}
}

// TestAttackRegistryReplies: a registry sends too much, something else, or the
// client elsewhere. Nothing of it is kept.
func TestAttackRegistryReplies(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	var mu sync.Mutex
	var leaked []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		for _, name := range []string{"Authorization", "Cookie", "X-Registry-Auth"} {
			if v := r.Header.Get(name); v != "" {
				leaked = append(leaked, r.URL.Path+" "+v)
			}
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer other.Close()
	manifests := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/") }
	blobs := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/") }
	rewritten := func(e *evilRegistry, edit func(m map[string]any)) {
		var m map[string]any
		if err := json.Unmarshal(e.manifest, &m); err != nil {
			t.Fatal(err)
		}
		edit(m)
		e.manifest, _ = json.Marshal(m)
	}
	for name, c := range map[string]struct {
		spoil func(*evilRegistry)
		want  string
	}{
		"a huge manifest": {func(e *evilRegistry) { e.manifest = append(e.manifest, bytes.Repeat([]byte(" "), 5<<20)...) }, "more than"},
		"an endless manifest": {func(e *evilRegistry) {
			e.edit = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
				for chunk := bytes.Repeat([]byte(" "), 1<<20); manifests(r); {
					if _, err := w.Write(chunk); err != nil {
						return true
					}
				}
				return false
			}
		}, "more than"},
		"another layer": {func(e *evilRegistry) {
			e.edit = func(w http.ResponseWriter, r *http.Request, body []byte) bool {
				if blobs(r) && !bytes.Contains(body, []byte("rootfs")) {
					_, _ = w.Write(append([]byte{}, bytes.Repeat([]byte("x"), len(body))...))
					return true
				}
				return false
			}
		}, "digest"},
		"another configuration": {func(e *evilRegistry) {
			e.edit = func(w http.ResponseWriter, r *http.Request, body []byte) bool {
				if bytes.Contains(body, []byte("rootfs")) {
					_, _ = w.Write(bytes.Replace(body, []byte("linux"), []byte("LINUX"), 1))
					return true
				}
				return false
			}
		}, "digest"},
		"an endless layer": {func(e *evilRegistry) {
			e.edit = func(w http.ResponseWriter, r *http.Request, body []byte) bool {
				for chunk := bytes.Repeat([]byte("x"), 1<<20); blobs(r) && !bytes.Contains(body, []byte("rootfs")); {
					if _, err := w.Write(chunk); err != nil {
						return true
					}
				}
				return false
			}
		}, ""},
		"a digest that is a path": {func(e *evilRegistry) {
			rewritten(e, func(m map[string]any) {
				m["layers"].([]any)[0].(map[string]any)["digest"] = "sha256:../../../../etc/passwd"
			})
		}, "digest"},
		"negative sizes": {func(e *evilRegistry) {
			rewritten(e, func(m map[string]any) { m["layers"].([]any)[0].(map[string]any)["size"] = -1 })
		}, ""},
		"a hundred thousand layers": {func(e *evilRegistry) {
			rewritten(e, func(m map[string]any) {
				layer := m["layers"].([]any)[0]
				many := make([]any, 10_000)
				for i := range many {
					many[i] = layer
				}
				m["layers"] = many
			})
		}, "layers"},
		"a way to another host": {func(e *evilRegistry) {
			e.edit = func(w http.ResponseWriter, r *http.Request, body []byte) bool {
				if blobs(r) {
					http.Redirect(w, r, other.URL+"/taken"+r.URL.Path, http.StatusTemporaryRedirect)
				}
				return blobs(r)
			}
		}, "not found"},
		"a way around in circles": {func(e *evilRegistry) {
			e.edit = func(w http.ResponseWriter, r *http.Request, body []byte) bool {
				if blobs(r) {
					http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
				}
				return blobs(r)
			}
		}, "redirect"},
		"a token from another host": {func(e *evilRegistry) {
			e.edit = func(w http.ResponseWriter, r *http.Request, body []byte) bool {
				w.Header().Set("WWW-Authenticate", `Bearer realm="`+other.URL+`/token",service="x"`)
				w.WriteHeader(http.StatusUnauthorized)
				return true
			}
		}, ""},
	} {
		e, address := newEvilRegistry(t)
		e.password = "registry-password"
		dir := filepath.Join(t.TempDir(), "docker")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := h.command(t.Context(), h.root, "login", "-u", "user", "-p", e.password, address)
		cmd.Args[0], cmd.Env = "compose", append(cmd.Env, "DOCKER_CONFIG="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("login: %v: %s", err, out)
		}
		c.spoil(e)
		pull := h.command(t.Context(), h.root, "image", "pull", address+"/evil/image:1")
		pull.Args[0], pull.Env = "compose", append(pull.Env, "DOCKER_CONFIG="+dir)
		out, err := pull.CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.want) || strings.Contains(string(out), "panic:") {
			t.Errorf("%s: %v, want %q:\n%.600s", name, err, c.want, out)
		}
		if strings.Contains(string(out), e.password) {
			t.Errorf("%s: the password is shown:\n%s", name, out)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, l := range leaked {
		if !strings.HasPrefix(l, "/token ") {
			t.Errorf("credentials went to another host: %s", l)
		}
	}
	if ids := h.compose("image", "ls", "-q").ok().stdout; ids != "" {
		t.Errorf("images were kept: %s", ids)
	}
}
