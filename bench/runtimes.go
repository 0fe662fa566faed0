package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// benchRuntimes measures the OCI runtime alone: a bundle's program that ends
// at once.
func benchRuntimes(o options, dir string, r *report) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with its view of the mounts
		err := hideUnified()
		if err == nil {
			err = measureRuntimes(o, dir, r)
		}
		done <- err
	}()
	return <-done
}

// hideUnified gives the thread, and what it starts, a view of the mounts without
// a hybrid host's second kind of cgroups, which crun refuses to run beside.
func hideUnified() error {
	const unified = "/sys/fs/cgroup/unified"
	if _, err := os.Stat(unified + "/cgroup.procs"); err != nil {
		return nil
	}
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	return unix.Unmount(unified, unix.MNT_DETACH)
}

func measureRuntimes(o options, dir string, r *report) error {
	bundle, err := makeBundle(filepath.Join(dir, "bundle"))
	if err != nil {
		return err
	}
	state := filepath.Join(dir, "oci")
	tools := map[string][]string{"compose": {o.binary, "oci", "--root", state}}
	for _, name := range []string{"runc", "crun"} {
		if _, err := exec.LookPath(name); err != nil {
			continue
		}
		argv := []string{name, "--root", filepath.Join(dir, name)}
		if name == "crun" { // does the same as the others, and not what systemd would
			argv = append(argv, "--cgroup-manager=cgroupfs")
		}
		tools[name] = argv
	}
	result := newRow("OCI runtime, run true", 10*time.Millisecond)
	for i := range o.runs + 1 {
		trim([]*row{result}, i)
		for name, argv := range tools {
			cmd := exec.Command(argv[0], append(argv[1:], "run", "--bundle", bundle, fmt.Sprintf("bench%d", i))...)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			start := time.Now()
			if err := cmd.Run(); err != nil && name != "compose" && i == 0 {
				fmt.Fprintf(os.Stderr, "%s is left out: %s\n", name, bytes.TrimSpace(out.Bytes()))
				delete(tools, name)
				continue
			} else if err != nil {
				return fmt.Errorf("%s: %w\n%s", name, err, out.String())
			}
			took := time.Since(start)
			if name == "compose" {
				result.times = append(result.times, took)
			} else {
				result.peers[name] = append(result.peers[name], took)
			}
		}
	}
	r.rows = append(r.rows, result)
	return nil
}

// makeBundle makes a bundle with runc's own default configuration, as far as
// all runtimes take it.
func makeBundle(dir string) (string, error) {
	bin := filepath.Join(dir, "rootfs", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(bin, "true"), program, 0o755); err != nil {
		return "", err
	}
	mount := func(at, kind string, options ...string) map[string]any {
		return map[string]any{"destination": at, "type": kind, "source": kind, "options": options}
	}
	var namespaces []map[string]string
	for _, n := range []string{"pid", "network", "ipc", "uts", "mount"} {
		namespaces = append(namespaces, map[string]string{"type": n})
	}
	config := map[string]any{
		"ociVersion": "1.0.2", "hostname": "bench", "root": map[string]any{"path": "rootfs", "readonly": true},
		"process": map[string]any{
			"user": map[string]int{"uid": 0, "gid": 0}, "args": []string{"/bin/true"}, "cwd": "/", "noNewPrivileges": true,
			"env": []string{"PATH=/bin"}, "capabilities": map[string][]string{"bounding": {"CAP_KILL"}, "effective": {"CAP_KILL"}, "permitted": {"CAP_KILL"}},
		},
		"mounts": []any{
			mount("/proc", "proc"), mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
			mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
			mount("/dev/shm", "tmpfs", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
			mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
		},
		"linux": map[string]any{
			"namespaces":  namespaces,
			"maskedPaths": []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"}, "readonlyPaths": []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"},
		},
	}
	data, err := json.Marshal(config)
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "config.json"), data, 0o644)
}
