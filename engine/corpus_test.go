package engine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
	"golang.org/x/tools/txtar"

	"compose/engine/build"
	"compose/engine/image"
	"compose/engine/runtime"
)

// TestCorpus builds the Dockerfiles of testdata/corpus and looks at what came
// of each. A file there is an archive in txtar form: it begins with a sentence
// on what it is about and lines that set the build up and say what is to be:
//
//	arg K=V, label K=V, secret ID=TEXT, ssh, context NAME=WHERE, target STAGE,
//	platform P, host NAME:IP, ulimit U, dockerfile PATH, privileged, crlf,
//	archive NAME MEMBER
//	file PATH TEXT ("*": any, "|": a line feed), mode PATH OCTAL, owner PATH UID:GID,
//	dir PATH MODE OWNER, link PATH TARGET, absent PATH, env K=V, no-env K,
//	config FIELD JSON, error TEXT, warning RULE, no-warning RULE
func TestCorpus(t *testing.T) {
	e := newEngine(t)
	corpusBase(t, e)
	servers := corpusServers(t)
	files, err := filepath.Glob("testdata/corpus/*.txtar")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v: the corpus has at least 40", len(files), err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(name, func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c := &corpusCase{t: t, engine: e, vars: servers}
			c.run(archive)
		})
	}
	if n, err := e.Networks().Networks(); err != nil || len(n) != 0 {
		t.Errorf("the builds left networks: %v, %v", n, err)
	}
}

// corpusBase makes the image busybox anew, with all applets and two users.
func corpusBase(t *testing.T, e *Engine) {
	t.Helper()
	applets, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	add := func(h tar.Header, body string) {
		h.Size = int64(len(body))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	add(tar.Header{Name: "bin/busybox", Mode: 0o755}, string(program))
	for _, a := range strings.Fields(string(applets)) {
		if a != "busybox" {
			add(tar.Header{Name: "bin/" + a, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, "")
		}
	}
	add(tar.Header{Name: "etc/passwd", Mode: 0o644}, "root:x:0:0::/root:/bin/sh\nguest:x:1000:1000::/tmp:/bin/sh\n")
	add(tar.Header{Name: "etc/group", Mode: 0o644}, "root:x:0:\nguest:x:1000:\nstaff:x:50:guest\n")
	add(tar.Header{Name: "tmp", Typeflag: tar.TypeDir, Mode: 0o755}, "")
	add(tar.Header{Name: "data", Typeflag: tar.TypeDir, Mode: 0o755}, "")
	add(tar.Header{Name: "data/seed", Mode: 0o640, Uid: 7, Gid: 8}, "seed\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Images().Import(t.Context(), &buf, "busybox", image.ImportOptions{Changes: []string{"ENV FROM=image", `CMD ["echo", "default"]`}}); err != nil {
		t.Fatal(err)
	}
}

// corpusServers are what the Dockerfiles fetch from, and other things that
// they cannot know.
func corpusServers(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	repo := corpusRepository(t, filepath.Join(dir, "repo"))
	page := []byte("served\n")
	mux := http.NewServeMux()
	mux.HandleFunc("/page.txt", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })
	mux.HandleFunc("/files.tar.gz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(packed(t, "files.tar.gz", "in/served")) })
	mux.Handle("/git/", http.StripPrefix("/git/", http.FileServer(http.Dir(repo))))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	ns, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"SERVER": server.URL, "GIT": server.URL + "/git/repo.git", "SUM": digest.FromBytes(page).String(),
		"ARCH": goruntime.GOARCH, "HOSTNS": ns,
	}
}

// corpusRepository makes a repository with two commits, served as plain files.
func corpusRepository(t *testing.T, dir string) string {
	t.Helper()
	script := `set -e
mkdir -p "$1/work/sub" && cd "$1/work"
git init -q -b main .
git config user.email nobody@example.invalid && git config user.name nobody
echo first > file && echo inner > sub/inner && git add . && git commit -qm one && git tag v1
echo second > file && git commit -qam two
cd .. && git clone -q --bare work repo.git && cd repo.git && git update-server-info`
	cmd := exec.Command("sh", "-c", script, "sh", dir)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make a repository: %v\n%s", err, out)
	}
	return dir
}

// packed is an archive with one file, compressed as the name says.
func packed(t *testing.T, name, member string) []byte {
	t.Helper()
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	if err := w.WriteHeader(&tar.Header{Name: member, Mode: 0o644, Size: 7}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "packed\n"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	switch filepath.Ext(name) {
	case ".tar":
		return plain.Bytes()
	case ".gz":
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		if _, err := z.Write(plain.Bytes()); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	program := map[string]string{".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}[filepath.Ext(name)]
	cmd := exec.Command(program, "-c")
	cmd.Stdin = &plain
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	return out
}

// corpusCase is one Dockerfile of the corpus.
type corpusCase struct {
	t      *testing.T
	engine *Engine
	vars   map[string]string
	dir    string
	opts   build.Options
	checks []string

	mu       sync.Mutex
	warnings []string
	log      bytes.Buffer
}

func (c *corpusCase) run(archive *txtar.Archive) {
	c.dir = c.t.TempDir()
	c.opts = build.Options{
		Context: c.dir, Args: map[string]string{"SERVER": c.vars["SERVER"], "GIT": c.vars["GIT"], "SUM": c.vars["SUM"]}, Labels: map[string]string{},
		Secrets: map[string]build.Secret{}, SSH: map[string]string{}, Contexts: map[string]string{}, Progress: c.event,
	}
	crlf := false
	for _, line := range strings.Split(string(archive.Comment), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		if word == "crlf" {
			crlf = true
		} else if !c.setUp(word, rest) {
			c.checks = append(c.checks, line)
		}
	}
	for _, f := range archive.Files {
		if crlf {
			f.Data = bytes.ReplaceAll(f.Data, []byte("\n"), []byte("\r\n"))
		}
		c.write(f.Name, f.Data)
	}
	img, err := c.engine.Builder().Build(c.t.Context(), c.opts)
	wantsError := false
	for _, line := range c.checks {
		if want, ok := strings.CutPrefix(line, "error "); ok {
			wantsError = true
			if err == nil || !strings.Contains(err.Error(), want) {
				c.t.Errorf("the error does not say %q: %v", want, err)
			}
		}
	}
	if wantsError {
		return
	}
	if err != nil {
		c.t.Fatalf("%v\n%s", err, &c.log)
	}
	c.checkConfig(img)
	lowers, err := c.engine.Images().Lowers(c.t.Context(), img.ID)
	if err != nil {
		c.t.Fatal(err)
	}
	if len(lowers) == 0 {
		return
	}
	err = runtime.InMountNS(runtime.RootFS{Lowers: lowers}, func(root *os.File) error {
		for _, line := range c.checks {
			c.checkFile(int(root.Fd()), line)
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *corpusCase) write(name string, data []byte) {
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func (c *corpusCase) event(e build.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Warning != nil {
		c.warnings = append(c.warnings, e.Warning.Rule)
	}
	c.log.Write(e.Log)
}

// setUp reads a line that is about the build, and says whether it was one.
func (c *corpusCase) setUp(word, rest string) bool {
	key, value, _ := strings.Cut(rest, "=")
	switch word {
	case "arg":
		c.opts.Args[key] = value
	case "label":
		c.opts.Labels[key] = value
	case "secret":
		c.opts.Secrets[key] = build.Secret{Data: []byte(value)}
	case "context":
		if !strings.Contains(value, "://") {
			value = filepath.Join(c.dir, value)
		}
		c.opts.Contexts[key] = value
	case "ssh":
		path := filepath.Join(c.dir, "agent")
		l, err := net.Listen("unix", path)
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() { l.Close() })
		c.opts.SSH["default"] = path
	case "target":
		c.opts.Target = rest
	case "platform":
		c.opts.Platform = rest
	case "host":
		c.opts.ExtraHosts = append(c.opts.ExtraHosts, rest)
	case "ulimit":
		c.opts.Ulimits = append(c.opts.Ulimits, rest)
	case "dockerfile":
		c.opts.Dockerfile = rest
	case "privileged":
		c.opts.Privileged = true
	case "archive":
		name, member, _ := strings.Cut(rest, " ")
		c.write(name, packed(c.t, name, member))
	default:
		return false
	}
	return true
}

// checkConfig compares what is in the image's configuration.
func (c *corpusCase) checkConfig(img *image.Image) {
	raw, err := c.engine.Images().RawConfig(img)
	if err != nil {
		c.t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		c.t.Fatal(err)
	}
	env := map[string]string{}
	for _, kv := range img.Config.Config.Env {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	has := func(rule string) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, w := range c.warnings {
			if w == rule {
				return true
			}
		}
		return false
	}
	for _, line := range c.checks {
		word, rest, _ := strings.Cut(line, " ")
		key, value, _ := strings.Cut(rest, "=")
		switch word {
		case "env":
			if got, ok := env[key]; !ok || got != value {
				c.t.Errorf("%s is %q, %v in the environment, want %q", key, got, ok, value)
			}
		case "no-env":
			if got, ok := env[rest]; ok {
				c.t.Errorf("%s=%s is in the environment", rest, got)
			}
		case "config":
			field, text, _ := strings.Cut(rest, " ")
			var want any
			if err := json.Unmarshal([]byte(text), &want); err != nil {
				c.t.Fatalf("%s: %v", line, err)
			}
			var got any = config
			for _, part := range strings.Split(field, ".") {
				m, _ := got.(map[string]any)
				got = m[part]
			}
			if !reflect.DeepEqual(got, want) {
				c.t.Errorf("%s is %v, want %v", field, got, want)
			}
		case "warning":
			if !has(rest) {
				c.t.Errorf("no warning %s, but %v", rest, c.warnings)
			}
		case "no-warning":
			if has(rest) {
				c.t.Errorf("there is a warning %s", rest)
			}
		}
	}
}

// checkFile looks at one file of the image.
func (c *corpusCase) checkFile(root int, line string) {
	word, rest, _ := strings.Cut(line, " ")
	path, want, _ := strings.Cut(rest, " ")
	switch word {
	case "file", "mode", "owner", "dir", "link", "absent":
	default:
		return
	}
	for name, value := range c.vars {
		want = strings.ReplaceAll(want, "${"+name+"}", value)
	}
	relative := strings.TrimPrefix(path, "/")
	fd, err := unix.Openat2(root, relative, &unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW, Resolve: unix.RESOLVE_IN_ROOT})
	if word == "absent" {
		if err == nil {
			unix.Close(fd)
			c.t.Errorf("%s is there", path)
		}
		return
	}
	if err != nil {
		c.t.Errorf("%s: %v", path, err)
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		c.t.Fatal(err)
	}
	mode, owner := fmt.Sprintf("%04o", st.Mode&0o7777), fmt.Sprintf("%d:%d", st.Uid, st.Gid)
	var got string
	switch word {
	case "mode":
		got = mode
	case "owner":
		got = owner
	case "dir":
		if got = mode + " " + owner; st.Mode&unix.S_IFMT != unix.S_IFDIR {
			got = "no directory"
		}
	case "link":
		buf := make([]byte, 4096)
		n, err := unix.Readlinkat(fd, "", buf)
		if err != nil {
			c.t.Errorf("%s is no link: %v", path, err)
			return
		}
		got = string(buf[:n])
	case "file":
		data, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil && !os.IsNotExist(err) {
			c.t.Errorf("%s: %v", path, err)
			return
		}
		if want == "*" && st.Mode&unix.S_IFMT == unix.S_IFREG {
			return
		}
		got = strings.ReplaceAll(strings.TrimSuffix(string(data), "\n"), "\n", "|")
	}
	if got != want {
		c.t.Errorf("%s %s is %q, want %q", word, path, got, want)
	}
}
