package e2e

import (
	"archive/tar"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// secret is a file of the host that nobody in a container may read or write.
func secret(t *testing.T) (dir, file string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "host")
	file = filepath.Join(dir, "secret")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("SECRET OF THE HOST"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

// untouched fails the test unless the secret and its directory are as they were.
func untouched(t *testing.T, what, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "secret"))
	list, _ := os.ReadDir(dir)
	if err != nil || string(text) != "SECRET OF THE HOST" || len(list) != 1 {
		t.Fatalf("%s: the host's file says %q (%v), its directory has %d entries", what, text, err, len(list))
	}
}

// TestAttackImageLinks: an image has links to the host where the engine makes
// or mounts something: the special directories and the files in /etc.
func TestAttackImageLinks(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir, file := secret(t)
	for i, path := range []string{"etc/hosts", "etc/resolv.conf", "etc/hostname", "etc/passwd", "etc/group", "proc", "sys", "dev", "etc", "tmp", "var/www"} {
		for j, target := range []string{file, dir, "../../../../../../../../../../" + file, "../../../../../../../../../../" + dir} {
			var layer bytes.Buffer
			w := tar.NewWriter(&layer)
			parent := filepath.Dir(path)
			_ = w.WriteHeader(&tar.Header{Name: parent + "/.wh." + filepath.Base(path), Mode: 0o644})
			_ = w.WriteHeader(&tar.Header{Name: path, Typeflag: tar.TypeSymlink, Linkname: target})
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("links%d-%d", i, j)
			context := h.project(name, "Dockerfile", "FROM busybox\nADD layer.tar /\nUSER root\n", "layer.tar", layer.String())
			built := h.in(context, "image", "build", "-q", "-t", name, ".")
			if built.code != 0 {
				untouched(t, path+" -> "+target, dir)
				continue // refused as early as that
			}
			r := h.docker("run", "--rm", "-v", "vol:/var/www", "--tmpfs", "/tmp", name, "sh", "-c", "cat "+file+" /"+path+" /"+path+"/secret; echo x > /"+path+"; echo x > /"+path+"/new; echo x > "+file)
			if strings.Contains(r.stdout+r.stderr, "SECRET") {
				t.Errorf("%s -> %s: the container reads it", path, target)
			}
			untouched(t, path+" -> "+target, dir)
		}
	}
}

// TestAttackCopyUp: an image has a link where a volume is mounted, which is
// filled with what the image has there.
func TestAttackCopyUp(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir, _ := secret(t)
	for i, target := range []string{dir, "../../../../../../../../../../" + dir, "/proc/1/root" + dir, "/proc/self/cwd"} {
		name := fmt.Sprintf("copyup%d", i)
		context := h.project(name, "Dockerfile", "FROM busybox\nRUN mkdir /in && ln -s "+target+" /data && ln -s "+target+" /in/deep && ln -s "+target+"/secret /in/file\n")
		h.in(context, "image", "build", "-q", "-t", name, ".").ok()
		out := h.docker("run", "--rm", "-v", name+"a:/data", "-v", name+"b:/in", "busybox", "true")
		out.ok()
		r := h.docker("run", "--rm", "-v", name+"c:/data", "-v", name+"d:/in", name, "sh", "-c", "cat /data/secret /in/deep/secret /in/file; find /data /in -name secret")
		if strings.Contains(r.stdout, "SECRET") || strings.Contains(r.stdout, "secret") {
			t.Errorf("link to %s: the volume has the host's file:\n%s", target, r.stdout)
		}
		untouched(t, "copy-up by "+target, dir)
	}
}

// TestAttackCopyRace: a directory of the container turns into a link to the
// host and back while files are copied into it and out of it.
func TestAttackCopyRace(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir, file := secret(t)
	h.docker("run", "-d", "--name", "racer", "busybox", "sh", "-c",
		"mkdir -p /a /b; cd /; touch /b/secret; while :; do ln -sfn "+dir+" /a/d; rm -f /a/d; mkdir /a/d; echo inside > /a/d/secret; rm -rf /a/d; ln -sfn /b /a/d; rm -f /a/d; done").ok()
	payload := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(payload, []byte("OVERWRITTEN"), 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range 25 {
		// Most fail, for there is no such directory at that moment.
		h.docker("cp", payload, "racer:/a/d/secret")
		h.docker("cp", payload, "racer:/a/d/")
		untouched(t, "cp into the container", dir)
		to := filepath.Join(t.TempDir(), fmt.Sprint("out", i))
		h.docker("cp", "racer:/a/d/secret", to)
		if got, err := os.ReadFile(to); err == nil && strings.Contains(string(got), "SECRET") {
			t.Fatal("cp out of the container has read the host's file")
		}
		h.docker("cp", "-L", "racer:"+file, to)
		if got, err := os.ReadFile(to); err == nil && strings.Contains(string(got), "SECRET") {
			t.Fatal("cp out of the container has read the host's file")
		}
	}
	h.docker("rm", "-f", "racer").ok()
}

// TestAttackSubpathRace: a container of a volume swaps a directory for a link
// to the host, while another is started with that directory as its subpath.
func TestAttackSubpathRace(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir, _ := secret(t)
	h.docker("run", "--rm", "-v", "shared:/v", "busybox", "mkdir", "/v/sub").ok()
	volume := strings.TrimSpace(h.docker("volume", "inspect", "-f", "{{.Mountpoint}}", "shared").ok().stdout)
	stop := make(chan struct{})
	var racing sync.WaitGroup
	racing.Go(func() { // what a container of the volume could do, and quicker
		sub, kept := filepath.Join(volume, "sub"), filepath.Join(volume, "kept")
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Rename(sub, kept)
			_ = os.Symlink(dir, sub)
			time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
			_ = os.Remove(sub)
			_ = os.Rename(kept, sub)
			time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond) // a container may start
		}
	})
	started := 0
	for end := time.Now().Add(20 * time.Second); started < 10 && time.Now().Before(end); {
		r := h.docker("run", "--rm", "--mount", "type=volume,source=shared,target=/in,volume-subpath=sub", "busybox", "sh", "-c", "echo RAN; cat /in/secret; echo x > /in/secret; rm -f /in/secret")
		if strings.Contains(r.stdout, "SECRET") {
			t.Error("the container has the host's directory in the place of the volume's")
			break
		}
		if strings.Contains(r.stdout, "RAN") {
			started++
		}
		untouched(t, "subpath", dir)
	}
	close(stop)
	racing.Wait()
	untouched(t, "subpath", dir)
}

// TestAttackMountRace: the same with the mount point: a volume's directory on
// which another mount is put turns into a link to the host.
func TestAttackMountRace(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir, _ := secret(t)
	h.docker("run", "--rm", "-v", "outer:/v", "busybox", "mkdir", "/v/point").ok()
	volume := strings.TrimSpace(h.docker("volume", "inspect", "-f", "{{.Mountpoint}}", "outer").ok().stdout)
	stop := make(chan struct{})
	var racing sync.WaitGroup
	racing.Go(func() {
		point, kept := filepath.Join(volume, "point"), filepath.Join(volume, "kept")
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Rename(point, kept)
			_ = os.Symlink(dir, point)
			_ = os.Remove(point)
			_ = os.Rename(kept, point)
		}
	})
	before := linesWith("/proc/self/mountinfo", dir)
	for range 15 {
		r := h.docker("run", "--rm", "-v", "outer:/v", "-v", "inner:/v/point", "busybox", "sh", "-c", "cat /v/point/secret; echo x > /v/point/secret")
		if strings.Contains(r.stdout, "SECRET") {
			t.Error("the container reads the host's file")
		}
		untouched(t, "mount point", dir)
	}
	close(stop)
	racing.Wait()
	if after := linesWith("/proc/self/mountinfo", dir); len(after) != len(before) {
		t.Errorf("mounted on the host: %q", after)
	}
}

// TestAttackBuildContext: a context has links out of itself, and a Dockerfile
// asks for what is outside.
func TestAttackBuildContext(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir, file := secret(t)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	_ = w.WriteHeader(&tar.Header{Name: "d", Typeflag: tar.TypeSymlink, Linkname: dir})
	_ = w.WriteHeader(&tar.Header{Name: "d/secret", Mode: 0o644, Size: 1})
	_, _ = w.Write([]byte("x"))
	_ = w.WriteHeader(&tar.Header{Name: "../../../../../../../../../.." + file, Mode: 0o644, Size: 1})
	_, _ = w.Write([]byte("x"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, steps := range map[string]string{
		"dots":                 "COPY ../host/secret /f",
		"absolute":             "COPY " + file + " /f",
		"a link":               "COPY link /f",
		"below a link":         "COPY up/secret /f",
		"a pattern below":      "COPY up/* /f/",
		"a link as a context":  "COPY up /f",
		"a destination link":   "RUN ln -s " + dir + " /d\nCOPY Dockerfile /d/secret",
		"added archive":        "ADD evil.tar /",
		"a mounted context":    "RUN --mount=target=/c cat /c/link /c/up/secret > /f; true",
		"a mount's source":     "RUN --mount=type=bind,source=up,target=/c cat /c/secret > /f; true",
		"a cache's target":     "RUN ln -s " + dir + " /cache\nRUN --mount=type=cache,target=/cache echo x > /cache/secret",
		"a secret of the host": "RUN --mount=type=secret,id=../../etc/shadow cat /run/secrets/* > /f; true",
	} {
		context := h.project("context", "Dockerfile", "FROM busybox\n"+steps+"\n", "evil.tar", archive.String())
		for link, to := range map[string]string{"link": file, "up": dir} {
			if err := os.Symlink(to, filepath.Join(context, link)); err != nil {
				t.Fatal(err)
			}
		}
		tag := strings.ReplaceAll(strings.ReplaceAll(name, " ", ""), "'", "")
		h.in(context, "image", "build", "-q", "-t", tag, ".")
		untouched(t, name, dir)
		if r := h.docker("run", "--rm", "--pull", "never", tag, "sh", "-c", "cat /f /f/* /d/secret"); strings.Contains(r.stdout, "SECRET") {
			t.Errorf("%s: the image has the host's file", name)
		}
	}
	// A Dockerfile or an ignore file that is a link is no way either.
	context := h.project("linked", "other", "FROM busybox\n")
	if err := os.Symlink(file, filepath.Join(context, "Dockerfile")); err != nil {
		t.Fatal(err)
	}
	if r := h.in(context, "image", "build", "."); strings.Contains(r.stdout+r.stderr, "SECRET OF THE HOST\n") {
		t.Errorf("the build shows the host's file:\n%s%s", r.stdout, r.stderr)
	}
}
