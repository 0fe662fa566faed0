package e2e

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The attacks of this and the other attack_*_test.go files are each one that
// has worked against a container engine. docs/security.md lists them.

func hashOf(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

// TestAttackRuntimeBinary is CVE-2019-5736: a program in a container gets at
// the runtime's binary by way of /proc/<pid>/exe while the runtime starts
// something in the container, and writes to it once it is not busy.
func TestAttackRuntimeBinary(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	before := hashOf(t, binary)
	hunt := filepath.Join(t.TempDir(), "hunt")
	if err := os.Mkdir(hunt, 0o777); err != nil {
		t.Fatal(err)
	}
	// What is executed is the one who executes: the script's interpreter.
	script := "printf '#!/proc/self/exe\\n' > /evil && chmod 755 /evil"
	dir := h.project("binary", "compose.yml", `services:
  app:
    image: busybox
    init: true
    command: sh -c "`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(script)+`; exec /probe/probe overwrite /hunt"
    stop_grace_period: 0s
    cap_add: [SYS_PTRACE]
    volumes: ["`+probe(t)+`:/probe:ro", "`+hunt+`:/hunt"]
`, "Dockerfile", "FROM busybox\nRUN "+script+"\nRUN [\"/evil\"]\n")
	h.in(dir, "up", "-d").ok()
	look := func() (seen string) {
		if data, err := os.ReadFile(filepath.Join(hunt, "written")); err == nil {
			t.Fatalf("the attacker has written to the runtime's binary: %s", data)
		}
		data, _ := os.ReadFile(filepath.Join(hunt, "seen"))
		return string(data)
	}
	// With init: true our binary is process 1 and in plain sight.
	eventually(t, "the attacker sees the init", func() error {
		if look() == "" {
			return fmt.Errorf("nothing seen yet")
		}
		return nil
	})
	for range 5 {
		h.in(dir, "exec", "-T", "app", "/evil") // whatever it says
		look()
	}
	h.in(dir, "down").ok()
	h.in(dir, "build")
	h.in(dir, "image", "build", ".")

	bundle := h.bundle(script+"; exec /probe overwrite /hunt", func(s *specs.Spec) {
		s.Process.Capabilities.Bounding = append(s.Process.Capabilities.Bounding, "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE")
		s.Process.Capabilities.Effective, s.Process.Capabilities.Permitted = s.Process.Capabilities.Bounding, s.Process.Capabilities.Bounding
		s.Mounts = append(s.Mounts,
			specs.Mount{Destination: "/probe", Type: "bind", Source: filepath.Join(probe(t), "probe"), Options: []string{"bind"}},
			specs.Mount{Destination: "/hunt", Type: "bind", Source: hunt, Options: []string{"bind"}})
	})
	h.ociCreate("attacker", bundle)
	h.compose("oci", "start", "attacker").ok()
	eventually(t, "the script", func() error { _, err := os.Stat(filepath.Join(bundle, "rootfs/evil")); return err })
	for range 5 {
		h.compose("oci", "exec", "attacker", "/evil")
		look()
	}
	h.compose("oci", "delete", "--force", "attacker").ok()
	if after := hashOf(t, binary); after != before {
		t.Error("the binary is another one now")
	}
}

// TestAttackWorkingDirectory is CVE-2024-21626: a working directory that is a
// descriptor of the runtime's own, and with it a directory of the host.
func TestAttackWorkingDirectory(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	h.docker("run", "-d", "--name", "victim", "busybox", "sleep", "1000000").ok()
	bundle := h.bundle("exec sleep 1000", nil)
	h.ociCreate("victim", bundle)
	h.compose("oci", "start", "victim").ok()
	for fd := 3; fd < 24; fd++ {
		for _, dir := range []string{fmt.Sprintf("/proc/self/fd/%d", fd), fmt.Sprintf("/proc/self/fd/%d/..", fd), fmt.Sprintf("/link%d", fd)} {
			for name, r := range map[string]result{
				"run":      h.docker("run", "--rm", "-w", dir, "busybox", "sh", "-c", "echo IN; cat ./etc/shadow ../etc/shadow ../../etc/shadow"),
				"exec":     h.docker("exec", "-w", dir, "victim", "sh", "-c", "echo IN; cat ./etc/shadow ../etc/shadow"),
				"oci exec": h.compose("oci", "exec", "--cwd", dir, "victim", "sh", "-c", "echo IN; cat ./etc/shadow ../etc/shadow"),
			} {
				if strings.Contains(r.stdout, "root:") || strings.HasPrefix(dir, "/proc") && strings.Contains(r.stdout, "IN") {
					t.Errorf("%s in %s got out: %s", name, dir, r.stdout)
				}
			}
		}
		if fd > 9 {
			fd += 4 // on to where the preparation's own copies stand
		}
	}
	h.compose("oci", "delete", "--force", "victim").ok()
	h.docker("rm", "-f", "victim").ok()
	h.docker("image", "build", h.project("wd", "Dockerfile", "FROM busybox\nWORKDIR /proc/self/fd/7\nRUN cat ../../etc/shadow\n")).fails(1, "")
}

// TestAttackMaskedPaths is CVE-2025-31133 and CVE-2025-52881: what a mask is
// made from or lands on is put there by the image, so that a path stays open
// or what is written goes to another file of /proc.
func TestAttackMaskedPaths(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for name, edit := range map[string]func(rootfs string, s *specs.Spec){
		"null is a link to another file": func(_ string, s *specs.Spec) {
			s.Linux.Devices = nil
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/dev/null", Type: "bind", Source: "/proc/sys/kernel/core_pattern", Options: []string{"bind"}})
		},
		"null of the image": func(rootfs string, s *specs.Spec) {
			// No /dev of its own: the image's is used.
			s.Mounts = s.Mounts[:1]
			_ = os.MkdirAll(filepath.Join(rootfs, "dev"), 0o755)
			_ = os.Symlink("/proc/sys/kernel/core_pattern", filepath.Join(rootfs, "dev/null"))
		},
		"proc is a link": func(rootfs string, _ *specs.Spec) {
			_ = os.Remove(filepath.Join(rootfs, "proc"))
			_ = os.Symlink("/tmp", filepath.Join(rootfs, "proc"))
		},
		"sys is a link": func(rootfs string, s *specs.Spec) {
			_ = os.Remove(filepath.Join(rootfs, "sys"))
			_ = os.Symlink("/etc", filepath.Join(rootfs, "sys"))
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs"})
		},
		"dev is a link out": func(rootfs string, s *specs.Spec) {
			_ = os.RemoveAll(filepath.Join(rootfs, "dev"))
			_ = os.Symlink("/../../../../../../tmp", filepath.Join(rootfs, "dev"))
			s.Mounts = s.Mounts[:1]
		},
		"proc of a volume": func(_ string, s *specs.Spec) {
			fake := filepath.Join(t.TempDir(), "fake")
			_ = os.MkdirAll(filepath.Join(fake, "sys"), 0o755)
			s.Mounts[0] = specs.Mount{Destination: "/proc", Type: "bind", Source: fake, Options: []string{"bind"}}
			_ = os.WriteFile(filepath.Join(fake, "kcore"), []byte("not masked"), 0o644)
		},
		"the kernel's proc below a link": func(rootfs string, s *specs.Spec) {
			_ = os.Symlink("/proc", filepath.Join(rootfs, "other"))
			s.Mounts[0].Destination = "/other"
		},
	} {
		bundle := h.bundle("echo RAN", nil)
		rewrite(t, bundle, func(s *specs.Spec) { edit(filepath.Join(bundle, "rootfs"), s) })
		if r := h.compose("oci", "run", "--bundle", bundle, "masks"); r.code == 0 || strings.Contains(r.stdout, "RAN") {
			t.Errorf("%s: the container ran: %s", name, r.stdout)
		}
	}
	// A container of the engine has its own /dev, whatever the image has there.
	h.busybox("busybox")
	h.in(h.project("evil", "Dockerfile", "FROM busybox\nRUN rm -rf /proc /sys /dev 2>/dev/null; mkdir -p /trap && ln -sfn /trap /sysfs\n"), "image", "build", "-q", "-t", "evil", ".").ok()
	h.docker("run", "--rm", "evil", "sh", "-c", "cat /proc/kcore | wc -c; echo x > /proc/sys/kernel/core_pattern").fails(1, "Read-only")
}

// TestAttackConsole is CVE-2025-52565: /dev/console is a link when the terminal
// is bound to it.
func TestAttackConsole(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	host := filepath.Join(t.TempDir(), "host")
	if err := os.WriteFile(host, []byte("of the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{host, "/proc/sysrq-trigger", "../../../../../../../../.." + host} {
		volume := t.TempDir()
		for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
			if err := unix.Mknod(filepath.Join(volume, name), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(target, filepath.Join(volume, "console")); err != nil {
			t.Fatal(err)
		}
		bundle := h.bundle("ls -l /dev/console; cat /proc/mounts", nil)
		rewrite(t, bundle, func(s *specs.Spec) {
			s.Process.Terminal = true
			s.Mounts[1] = specs.Mount{Destination: "/dev", Type: "bind", Source: volume, Options: []string{"bind"}}
			s.Mounts[2].Destination = "/dev/pts"
		})
		r := h.compose("oci", "create", "--bundle", bundle, "--console-socket", filepath.Join(h.root, "none.sock"), "console")
		r.fails(1, "/dev/console")
		if text, err := os.ReadFile(host); err != nil || string(text) != "of the host" {
			t.Errorf("the host's file is %q (%v)", text, err)
		}
		if line := linesWith("/proc/self/mountinfo", host); len(line) > 0 {
			t.Errorf("mounted on the host: %q", line)
		}
	}
}
