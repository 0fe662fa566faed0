package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// startRegistry runs Debian's registry on a free port of the loopback. The
// lines are added to its configuration, "ADDRESS" standing for the address.
func startRegistry(t *testing.T, lines string) (address string) {
	t.Helper()
	dir := t.TempDir()
	address = net.JoinHostPort("127.0.0.1", unusedPort())
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: %s}\n  delete: {enabled: true}\nhttp:\n  addr: %s\n%s", filepath.Join(dir, "data"), address, lines)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("docker-registry", "serve", config)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := cmd.Start(); err != nil {
		t.Fatalf("the scenarios need Debian's docker-registry: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the registry said:\n%s", out.String())
		}
	})
	eventually(t, "the registry", func() error {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err
	})
	return address
}

// twoLayers builds an image with two layers of its own.
func (h *host) twoLayers(name, text string) {
	h.t.Helper()
	dir := h.project(name, "Dockerfile", "FROM busybox\nCOPY f /f\nRUN echo more > /g && mkdir /d && chmod 700 /d\nCMD cat /f\n", "f", text)
	h.in(dir, "image", "build", "-q", "-t", name, ".").ok()
}

func skopeo(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("skopeo", append([]string{"--insecure-policy"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("skopeo %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// TestPushAndPull sends images to a registry and gets them back, here and in
// skopeo, byte for byte.
func TestPushAndPull(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	h.twoLayers("app", "first\n")
	address := startRegistry(t, "")
	ref := address + "/team/app:one"
	h.docker("push", ref).fails(1, "An image does not exist locally with the tag: "+address+"/team/app")
	h.docker("tag", "app", ref).ok()
	out := h.docker("push", ref).ok().stdout
	if !regexp.MustCompile(`^The push refers to repository \[` + regexp.QuoteMeta(address) + `/team/app\]\n(?:[0-9a-f]{12}: (?:Preparing|Pushed)\n){6}one: digest: sha256:[0-9a-f]{64} size: \d+\n$`).MatchString(out) {
		t.Errorf("docker push: %s", out)
	}
	digest := regexp.MustCompile(`sha256:[0-9a-f]{64}`).FindString(out)

	// The second time nothing is sent, and another repository takes what is there.
	if out := h.docker("push", ref).ok().stdout; strings.Count(out, "Layer already exists") != 3 {
		t.Errorf("pushed again: %s", out)
	}
	h.docker("tag", "app", address+"/other:two").ok()
	if out := h.docker("push", address+"/other:two").ok().stdout; strings.Count(out, "Mounted from team/app") != 3 || !strings.Contains(out, digest) {
		t.Errorf("pushed to another repository: %s", out)
	}

	// skopeo sees the very manifest, and copies it on.
	if raw := skopeo(t, "inspect", "--raw", "--tls-verify=false", "docker://"+ref); !strings.Contains(raw, "manifest.v2+json") {
		t.Errorf("skopeo sees %s", raw)
	}
	layout := filepath.Join(t.TempDir(), "layout")
	skopeo(t, "copy", "--preserve-digests", "--src-tls-verify=false", "docker://"+ref, "dir:"+layout)
	skopeo(t, "copy", "--preserve-digests", "--dest-tls-verify=false", "dir:"+layout, "docker://"+address+"/copied:three")
	fresh := newHost(t)
	if out := fresh.docker("pull", address+"/copied:three").ok().stdout; !strings.Contains(out, "Digest: "+digest) && !strings.Contains(out, digest) {
		t.Errorf("docker pull: %s, want the digest %s", out, digest)
	}
	fresh.docker("run", "--rm", address+"/copied:three").says("first")
	fresh.docker("run", "--rm", address+"/copied:three", "stat", "-c", "%a %n", "/d", "/g").says("700 /d\n644 /g")
	// What was pulled is pushed on as it came.
	fresh.docker("tag", address+"/copied:three", address+"/again:four").ok()
	if out := fresh.docker("push", address+"/again:four").ok().stdout; !strings.Contains(out, digest) {
		t.Errorf("pushed what was pulled: %s, want the digest %s", out, digest)
	}
	fresh.docker("pull", "-q", address+"/again@"+digest).ok()
	fresh.docker("pull", address+"/again:nosuch").fails(1, "manifest for "+address+"/again:nosuch not found")

	// OCI manifests and zstd layers, made by skopeo.
	skopeo(t, "copy", "--format", "oci", "--dest-compress-format", "zstd", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://"+ref, "docker://"+address+"/oci:z")
	other := newHost(t)
	other.docker("pull", "-q", address+"/oci:z").ok()
	other.docker("run", "--rm", address+"/oci:z").says("first")
	raw := skopeo(t, "inspect", "--raw", "--tls-verify=false", "docker://"+address+"/oci:z")
	other.docker("tag", address+"/oci:z", address+"/oci2:z").ok()
	other.docker("push", "-q", address+"/oci2:z").ok()
	if again := skopeo(t, "inspect", "--raw", "--tls-verify=false", "docker://"+address+"/oci2:z"); again != raw {
		t.Errorf("an OCI image that was pulled and pushed has another manifest:\n%s\nit was\n%s", again, raw)
	}
	// A base image that was pulled and a layer of our own, zstd below gzip.
	dir := other.project("derived", "Dockerfile", "FROM "+address+"/oci:z\nRUN echo derived > /f\n")
	other.in(dir, "image", "build", "-q", "-t", address+"/derived", ".").ok()
	other.docker("push", "-q", "-a", address+"/derived").ok()
	last := newHost(t)
	last.docker("run", "--rm", "-q", address+"/derived").says("derived")
}

// TestMultiArchPull chooses the image of an index by platform.
func TestMultiArchPull(t *testing.T) {
	t.Parallel()
	address := startRegistry(t, "")
	h := newHost(t)
	manifests := []map[string]any{}
	for _, arch := range []string{"amd64", "arm64", "s390x"} {
		ref := address + "/multi:" + arch
		h.runAs("docker", patience, h.root, bytes.NewReader(busyboxTar(t)), "image", "import", "--platform", "linux/"+arch, "-c", "ENV ARCH="+arch, "-", ref).ok()
		out := h.docker("push", ref).ok().stdout
		m := regexp.MustCompile(`digest: (sha256:[0-9a-f]{64}) size: (\d+)`).FindStringSubmatch(out)
		manifests = append(manifests, map[string]any{
			"mediaType": "application/vnd.docker.distribution.manifest.v2+json", "digest": m[1], "size": json.Number(m[2]),
			"platform": map[string]string{"os": "linux", "architecture": arch},
		})
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json", "manifests": manifests})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPut, "http://"+address+"/v2/multi/manifests/all", bytes.NewReader(index))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.docker.distribution.manifest.list.v2+json")
	if reply, err := http.DefaultClient.Do(req); err != nil || reply.StatusCode != http.StatusCreated {
		t.Fatalf("put the index: %v, %v", reply, err)
	}
	fresh := newHost(t)
	fresh.docker("pull", "-q", address+"/multi:all").ok()
	fresh.docker("image", "inspect", "-f", "{{.Architecture}}", address+"/multi:all").says(hostArch(t))
	fresh.docker("pull", "-q", "--platform", "linux/s390x", address+"/multi:all").ok()
	fresh.docker("image", "inspect", "-f", "{{.Architecture}}", address+"/multi:all").says("s390x")
	fresh.docker("pull", "--platform", "linux/riscv64", address+"/multi:all").fails(1, "no matching manifest for linux/riscv64")
}

// htpasswd makes a file with one user of a registry.
func htpasswd(t *testing.T, user, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(path, []byte(user+":"+string(hash)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLogin keeps the credentials of a registry with TLS and passwords.
func TestLogin(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := t.TempDir()
	ca := certificate(t, dir)
	address := startRegistry(t, fmt.Sprintf("  tls: {certificate: %s/cert.pem, key: %s/key.pem}\nauth:\n  htpasswd: {realm: test, path: %s}\n", dir, dir, htpasswd(t, "ann", "s3cret")))
	config := filepath.Join(dir, "docker")
	docker := func(stdin string, args ...string) result {
		h.t.Helper()
		cmd := append([]string{}, args...)
		return h.withEnv([]string{"DOCKER_CONFIG=" + config}, stdin, cmd...)
	}
	ref := address + "/app:tls"
	h.docker("tag", "busybox", ref).ok()
	docker("s3cret\n", "login", "-u", "ann", "--password-stdin", address).fails(1, "certificate")
	trusted := filepath.Join(h.root, "certs.d", address)
	if err := os.MkdirAll(trusted, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(trusted, "ca.crt"), ca, 0o644); err != nil {
		t.Fatal(err)
	}
	docker("", "push", ref).fails(1, "push access denied")
	docker("guess", "login", "-u", "ann", "--password-stdin", address).fails(1, "authentication required")
	docker("", "login", "-u", "ann", address).fails(1, "non TTY")
	in := docker("s3cret\n", "login", "-u", "ann", "--password-stdin", address).ok()
	if in.stdout != "Login Succeeded\n" || strings.Contains(in.stdout+in.stderr, "s3cret") {
		t.Errorf("docker login: %q %q", in.stdout, in.stderr)
	}
	if info, err := os.Stat(filepath.Join(config, "config.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the credentials' file: %v, %v", info, err)
	}
	docker("", "push", "-q", ref).ok()
	h.docker("rmi", ref).ok()
	docker("", "pull", "-q", ref).ok()
	docker("", "logout", address).says("Removing login credentials for " + address)
	docker("", "logout", address).says("Not logged in to " + address)
	docker("", "pull", ref).fails(1, "pull access denied")
}

func (h *host) withEnv(env []string, stdin string, args ...string) result {
	h.t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Args[0] = "docker"
	cmd.Dir = h.root
	cmd.Env = append(append(os.Environ(), "COMPOSE_ROOT="+h.root), env...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // the exit status is what counts
	return result{t: h.t, line: "docker " + strings.Join(args, " "), stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
}

// certificate makes an authority of its own for 127.0.0.1 and returns it.
func certificate(t *testing.T, dir string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, data := range map[string][]byte{"cert.pem": cert, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert
}

// TestTokensAndFaults pushes and pulls by way of a server that hands out
// tokens, answers "too many requests" and breaks off.
func TestTokensAndFaults(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	backend, err := url.Parse("http://" + startRegistry(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(backend)
	proxy.ErrorLog = nil
	var mu sync.Mutex
	var scopes []string
	var busy atomic.Int32
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			user, password, _ := r.BasicAuth()
			if user == "" { // a client may send them as a form
				user, password = r.FormValue("username"), r.FormValue("password")
			}
			if user != "ann" || password != "s3cret" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			mu.Lock()
			scopes = append(scopes, r.URL.Query()["scope"]...)
			mu.Unlock()
			fmt.Fprint(w, `{"token":"good","access_token":"good","expires_in":300}`)
			return
		}
		if r.Header.Get("Authorization") != "Bearer good" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+server.URL+`/token",service="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if n := busy.Add(1); n%4 == 0 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		} else if n%7 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.Host = r.Header.Get("Host")
		proxy.ServeHTTP(w, r)
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	config := filepath.Join(t.TempDir(), "docker")
	env := []string{"DOCKER_CONFIG=" + config}
	h.withEnv(env, "wrong", "login", "-u", "ann", "--password-stdin", address).fails(1, "login attempt")
	h.withEnv(env, "s3cret", "login", "-u", "ann", "--password-stdin", address).ok()
	ref := address + "/team/app:tok"
	h.docker("tag", "busybox", ref).ok()
	h.withEnv(env, "", "push", "-q", ref).ok()
	h.docker("rmi", ref).ok()
	h.withEnv(env, "", "pull", "-q", ref).ok()
	mu.Lock()
	defer mu.Unlock()
	if !slices.Contains(scopes, "repository:team/app:push,pull") || !slices.Contains(scopes, "repository:team/app:pull") {
		t.Errorf("scopes asked for: %q", scopes)
	}
}

// TestSaveAndLoad moves images by archives, of our own and of skopeo's.
func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	h.twoLayers("app", "saved\n")
	h.docker("tag", "app", "app:two").ok()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	h.docker("save", "-o", file("ours.tar"), "app:latest", "app:two", "busybox").ok()
	h.docker("save", "nosuch").fails(1, "No such image: nosuch")
	id := strings.TrimSpace(h.docker("image", "inspect", "-f", "{{.Id}}", "app").ok().stdout)

	fresh := newHost(t)
	if out := fresh.docker("load", "-i", file("ours.tar")).ok().stdout; out != "Loaded image: app:latest\nLoaded image: app:two\nLoaded image: busybox:latest\n" {
		t.Errorf("docker load: %q", out)
	}
	fresh.docker("image", "inspect", "-f", "{{.Id}}", "app:two").says(id)
	fresh.docker("run", "--rm", "app").says("saved")

	// Both of skopeo's readers take our archive, and we take both of its kinds.
	skopeo(t, "copy", "docker-archive:"+file("ours.tar")+":app:two", "docker-archive:"+file("docker.tar")+":copied:d")
	skopeo(t, "copy", "oci-archive:"+file("ours.tar")+":two", "oci-archive:"+file("oci.tar")+":copied:o")
	for _, name := range []string{"docker.tar", "oci.tar"} {
		out := fresh.docker("load", "-i", file(name)).ok().stdout
		if want := "Loaded image: copied:" + name[:1] + "\n"; out != want {
			t.Errorf("load %s: %q, want %q", name, out, want)
		}
		fresh.docker("image", "inspect", "-f", "{{.Id}}", "copied:"+name[:1]).says(id)
		// What was loaded can be saved again, the layers to the byte.
		fresh.docker("save", "-o", file("again-"+name), "copied:"+name[:1]).ok()
		skopeo(t, "copy", "docker-archive:"+file("again-"+name), "dir:"+file("dir-"+name))
	}
	if out, err := exec.Command("sh", "-c", "gzip -c "+file("docker.tar")+" > "+file("docker.tgz")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	other := newHost(t)
	data, err := os.ReadFile(file("docker.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	other.runAs("docker", patience, dir, bytes.NewReader(data), "load").ok().says("Loaded image: copied:d")
	other.runAs("docker", patience, dir, strings.NewReader("no archive"), "load").fails(1, "archive")
	plain, err := os.ReadFile(file("docker.tar"))
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Replace(plain, []byte("saved\n"), []byte("faked\n"), 1)
	other.runAs("docker", patience, dir, bytes.NewReader(damaged), "load").ok() // the layers are here already
	empty := newHost(t)
	empty.runAs("docker", patience, dir, bytes.NewReader(damaged), "load").fails(1, "diff ID")
	empty.docker("images", "-q").says("")

	history := h.docker("history", "app").ok().stdout
	if !regexp.MustCompile(`^IMAGE +CREATED +CREATED BY +SIZE +COMMENT\n[0-9a-f]{12} .*CMD \["/bin/sh" "-c" "cat /f"\] +0B .*\n<missing> .*RUN /bin/sh -c echo more > /g && mkdir /d &&… +5B .*\n<missing> .*COPY f /f .* +6B .*\n`).MatchString(history) {
		t.Errorf("docker history:\n%s", history)
	}
}

// TestPruneAndDiskUsage counts what is on disk and removes what nothing uses.
func TestPruneAndDiskUsage(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	h.twoLayers("app", "one\n")
	h.twoLayers("app", "two\n") // the first one has no name any more
	h.docker("create", "--name", "keeper", "busybox").ok()
	h.docker("run", "--name", "writer", "busybox", "sh", "-c", "echo 12345 > /out").ok()
	h.docker("volume", "create", "data").ok()
	df := h.docker("system", "df").ok().stdout
	if !regexp.MustCompile(`^TYPE +TOTAL +ACTIVE +SIZE +RECLAIMABLE\nImages +3 +1 +\S+ +\S+ \(0%\)\nContainers +2 +0 +6B +6B \(100%\)\nLocal Volumes +1 +0 +0B +0B\nBuild Cache +0 +0 +0B +0B\n$`).MatchString(df) {
		t.Errorf("docker system df:\n%s", df)
	}
	if out := h.docker("system", "df", "-v").ok().stdout; !strings.Contains(out, "SHARED SIZE") || !strings.Contains(out, "keeper") {
		t.Errorf("docker system df -v:\n%s", out)
	}
	if out := h.docker("image", "prune", "-f").ok().stdout; strings.Count(out, "deleted: sha256:") < 2 || !strings.Contains(out, "Total reclaimed space: ") {
		t.Errorf("docker image prune: %s", out)
	}
	h.docker("run", "--rm", "app").says("two")
	h.docker("rmi", "app").ok()
	h.docker("image", "prune", "-af").ok() // the image of containers stays
	h.docker("images", "--format", "{{.Repository}}").says("busybox")
	h.docker("system", "prune").says("WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n  - all dangling images\n  - unused build cache\n\nAre you sure you want to continue? [yN] \n")
	h.docker("system", "prune", "-af", "--volumes").ok()
	h.docker("images", "-q").says("")
	h.docker("ps", "-aq").says("")
	h.docker("volume", "ls", "-q").says("data") // it has a name of its own
	if left, err := filepath.Glob(filepath.Join(h.root, "layers", "[a-z0-9]*")); err != nil || len(left) > 0 {
		t.Errorf("layers are left: %q, %v", left, err)
	}
}

// TestPruneBesideBuilds prunes as fast as it can while other processes build,
// load and run.
func TestPruneBesideBuilds(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	h.docker("create", "--name", "keeper", "-l", "keep=yes", "busybox").ok()
	over := make(chan struct{})
	var pruning sync.WaitGroup
	pruning.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
				h.docker("system", "prune", "-af", "--filter", "label!=keep").ok()
			}
		}
	})
	for i := range 6 {
		name := fmt.Sprintf("app%d", i)
		dir := h.project(name, "Dockerfile", "FROM busybox\nLABEL keep=yes\nCOPY f /f\nRUN cp /f /g\nCMD cat /g\n", "f", name+"\n")
		h.in(dir, "image", "build", "-q", "-t", name, ".").ok()
		h.docker("run", "--rm", "-l", "keep=yes", name).says(name)
	}
	close(over)
	pruning.Wait()
	h.docker("rm", "-f", "keeper").ok()
}
