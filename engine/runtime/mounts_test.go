package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func bind(source, target string, options ...string) specs.Mount {
	return specs.Mount{Type: "bind", Source: source, Destination: target, Options: append([]string{"rbind"}, options...)}
}

func mkdirs(t *testing.T, dirs ...string) {
	t.Helper()
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// mountTmpfs mounts a tmpfs on the host for the time of the test.
func mountTmpfs(t *testing.T, dir string) {
	t.Helper()
	mkdirs(t, dir)
	if err := unix.Mount("test", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func TestBindMounts(t *testing.T) {
	host := t.TempDir()
	mkdirs(t, host+"/dir")
	writeFile(t, host+"/file", "file of the host\n")
	mountTmpfs(t, host+"/dir/sub")
	cfg := sh(t, `
echo rw > /rw/dir/new && cat /rw/dir/new
touch /ro/x 2>/dev/null || echo ro refused
touch /ro/dir/sub/x 2>/dev/null && echo ro is not recursive
touch /rro/dir/sub/x 2>/dev/null || echo rro refused
touch /norec/dir/sub/seen && echo not recursive
cat /a/new/file; touch /a/new/file 2>/dev/null || echo ro file
grep ' /noexec ' /proc/mounts | grep -o nosuid,nodev,noexec`)
	cfg.Spec.Mounts = append(cfg.Spec.Mounts,
		bind(host, "/rw"), bind(host, "/ro", "ro"), bind(host, "/rro", "ro", "rro"),
		specs.Mount{Type: "bind", Source: host, Destination: "/norec", Options: []string{"bind"}},
		bind(host+"/file", "/a/new/file", "ro"), bind(host, "/noexec", "noexec", "nosuid", "nodev"))
	text, _ := output(t, cfg)
	want := "rw\nro refused\nro is not recursive\nrro refused\nnot recursive\nfile of the host\nro file\nnosuid,nodev,noexec\n"
	if text != want {
		t.Errorf("inside:\n%swant:\n%s", text, want)
	}
	if _, err := os.Stat(host + "/dir/sub/seen"); err == nil {
		t.Error("a bind that is not recursive has shown what is mounted below")
	}
}

// TestMountTargetsStayInside has an image whose links lead out of it.
func TestMountTargetsStayInside(t *testing.T) {
	host := t.TempDir()
	mkdirs(t, host+"/source", host+"/outside", host+"/layer/etc")
	writeFile(t, host+"/source/file", "bound\n")
	for link, to := range map[string]string{
		"escape":          host + "/outside",
		"climb":           strings.Repeat("../", 20) + strings.TrimPrefix(host, "/") + "/outside",
		"etc/resolv.conf": "../run/nowhere/resolv.conf",
		"etc/hosts":       "/run/hosts",
	} {
		if err := os.Symlink(to, filepath.Join(host, "layer", link)); err != nil {
			t.Fatal(err)
		}
	}
	cfg := sh(t, "cat /escape/file /climb/file /escape/deep/er/file; cat /etc/resolv.conf /etc/hosts; ls -d /run/nowhere /run/hosts")
	cfg.RootFS.Lowers = append([]string{host + "/layer"}, cfg.RootFS.Lowers...)
	cfg.Spec.Mounts = append(cfg.Spec.Mounts,
		bind(host+"/source", "/escape"), bind(host+"/source", "/climb"), bind(host+"/source", "/escape/deep/er"),
		bind(host+"/source/file", "/etc/resolv.conf"), bind(host+"/source/file", "/etc/hosts"))
	if _, err := os.Stat(host + "/source/deep"); err == nil {
		t.Fatal("the source is not clean")
	}
	text, _ := output(t, cfg)
	if want := strings.Repeat("bound\n", 5) + "/run/hosts\n/run/nowhere\n"; text != want {
		t.Errorf("inside:\n%swant:\n%s", text, want)
	}
	if list, _ := os.ReadDir(host + "/outside"); len(list) > 0 {
		t.Errorf("made outside of the container: %v", list)
	}
}

func TestMountsThatMakeNoSense(t *testing.T) {
	host := t.TempDir()
	writeFile(t, host+"/file", "")
	for want, m := range map[string]specs.Mount{
		"cannot be the root":         bind(host, "/"),
		"it is inside /proc":         bind(host, "/proc/sys"),
		"does not exist":             bind(host+"/none", "/x"),
		"one is a directory":         bind(host+"/file", "/etc"),
		"no absolute path":           bind(host, "x"),
		"mount nosuchfs on /y":       {Type: "nosuchfs", Destination: "/y"},
		"make the mount point /etc/": bind(host, "/etc/passwd/sub"),
	} {
		cfg := newConfig(t, "true")
		cfg.Spec.Mounts = append(cfg.Spec.Mounts, m)
		c, err := Create(cfg)
		if err == nil {
			c.Discard()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want ...%s...", m, err, want)
		}
	}
}

func TestPropagation(t *testing.T) {
	host := t.TempDir()
	mountTmpfs(t, host)
	if err := unix.Mount("", host, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	mkdirs(t, host+"/late", host+"/inner")
	cfg := newConfig(t, "sleep", "1000")
	caps := cfg.Spec.Process.Capabilities
	for _, set := range []*[]string{&caps.Bounding, &caps.Effective, &caps.Permitted} {
		*set = append(append([]string{}, *set...), "CAP_SYS_ADMIN")
	}
	cfg.Spec.Linux.Seccomp = nil
	cfg.Spec.Mounts = append(cfg.Spec.Mounts, bind(host, "/private"), bind(host, "/slave", "rslave"), bind(host, "/shared", "rshared"))
	c := running(t, cfg)
	mountTmpfs(t, host+"/late")
	writeFile(t, host+"/late/seen", "")
	text, _ := inside(t, c, cfg, nil, "sh", "-c", "ls /private/late; echo -; ls /slave/late; echo -; ls /shared/late; mount -t tmpfs x /shared/inner && touch /shared/inner/up; mount -t tmpfs x /slave/inner && touch /slave/inner/x")
	if text != "-\nseen\n-\nseen\n" {
		t.Errorf("inside: %q", text)
	}
	list, _ := os.ReadDir(host + "/inner")
	if len(list) != 1 || list[0].Name() != "up" {
		t.Errorf("the host sees of the container's mounts: %v", list)
	}
	_ = unix.Unmount(host+"/inner", unix.MNT_DETACH)
}

// TestManyLayers mounts more layers, with longer names, than fit into one page.
func TestManyLayers(t *testing.T) {
	base := filepath.Join(t.TempDir(), strings.Repeat("long-", 20))
	var lowers []string
	for i := range 125 {
		dir := fmt.Sprintf("%s/%s,:\\-%d", base, strings.Repeat("n", 60), i)
		mkdirs(t, dir)
		writeFile(t, fmt.Sprintf("%s/file-%d", dir, i), "")
		writeFile(t, dir+"/top", fmt.Sprintf("layer %d\n", i))
		lowers = append(lowers, dir)
	}
	cfg := sh(t, "ls /file-* | wc -l; cat /top; echo written > /top; rm /file-7")
	cfg.RootFS.Lowers = append(lowers, cfg.RootFS.Lowers...)
	if text, _ := output(t, cfg); text != "125\nlayer 0\n" {
		t.Errorf("inside: %q", text)
	}
	if text, err := os.ReadFile(cfg.RootFS.Upper + "/top"); err != nil || string(text) != "written\n" {
		t.Errorf("the upper directory has %q, %v", text, err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(cfg.RootFS.Upper+"/file-7", &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0 {
		t.Errorf("no whiteout: %v, %o", err, st.Mode)
	}
}

func TestOtherRoots(t *testing.T) {
	cfg := sh(t, "echo x > /new; cat /new")
	plain := t.TempDir()
	if err := os.CopyFS(plain, os.DirFS(cfg.RootFS.Lowers[0])); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(plain+"/bin/busybox", 0o755); err != nil {
		t.Fatal(err)
	}
	cfg.RootFS = RootFS{Path: plain}
	if text, _ := output(t, cfg); text != "x\n" {
		t.Errorf("on a plain directory: %q", text)
	}
	if _, err := os.Stat(plain + "/new"); err != nil {
		t.Error(err)
	}
	cfg = sh(t, "touch /new 2>&1; touch /dev/shm/x /tmp/y && echo elsewhere; grep ' / ' /proc/mounts | cut -d' ' -f4 | cut -c1-2")
	cfg.Spec.Root = &specs.Root{Readonly: true}
	cfg.Spec.Mounts = append(cfg.Spec.Mounts, specs.Mount{Type: "tmpfs", Destination: "/tmp", Options: []string{"size=1m"}})
	if text, _ := output(t, cfg); text != "touch: /new: Read-only file system\nelsewhere\nro\n" {
		t.Errorf("read-only: %q", text)
	}
}

func TestInMountNS(t *testing.T) {
	cfg := newConfig(t, "true")
	before, _ := os.ReadFile("/proc/self/mountinfo")
	err := InMountNS(cfg.RootFS, func(root *os.File) error {
		fd, err := unix.Openat(int(root.Fd()), "made", unix.O_CREAT|unix.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		unix.Close(fd)
		now, _ := os.ReadFile("/proc/self/mountinfo")
		if string(now) != string(before) {
			t.Error("the mount shows in the process's own namespace")
		}
		return unix.Faccessat(int(root.Fd()), "bin/busybox", unix.X_OK, 0)
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(cfg.RootFS.Upper + "/made"); err != nil {
		t.Error(err)
	}
}
