package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRareRunFlags gives a container what few ask for, and looks at it from
// inside, or is told why it cannot be had.
func TestRareRunFlags(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	disk := hostDisk(t)
	id := strings.TrimSpace(h.docker("run", "-d", "--annotation", "org.example=yes", "--cpuset-mems", "0", "--stop-timeout", "0",
		"--device-read-bps", disk+":1mb", "--device-write-iops", disk+":77", "busybox", "sleep", "600").ok().stdout)
	h.docker("exec", id, "sh", "-c", "grep Mems_allowed_list /proc/self/status").says("Mems_allowed_list:\t0")
	h.docker("inspect", "-f", `{{index .HostConfig.Annotations "org.example"}}`, id).says("yes")
	hasBlockLimits(t, id, "1048576", "77")
	h.docker("rm", "-f", id).ok()

	for _, bad := range []struct{ flag, value, says string }{
		{"--device-read-bps", "sda:1mb", "--device-read-bps: write it as /dev/PATH:VALUE"},
		{"--device-read-bps", "/dev/sda:much", `the rate "much" is not a positive number`},
		{"--blkio-weight-device", "/dev/sda:5000", "10 to 1000"},
		{"--gpus", "all", "--gpus: could not select a device driver"},
		{"--storage-opt", "size=1G", "--storage-opt: "},
		{"--isolation", "hyperv", "--isolation: this is for Windows"},
		{"--log-driver", "gelf", "--log-driver: there is no logging driver gelf"},
		{"--use-api-socket=true", "", "--use-api-socket: "},
	} {
		args := []string{"run", "--rm", bad.flag}
		if bad.value != "" {
			args = append(args, bad.value)
		}
		h.docker(append(args, "busybox", "true")...).fails(125, bad.says)
	}
	h.docker("ps", "-aq").says("")
}

// TestPlatformFlags has the verbs about images that are here confirm their
// platform.
func TestPlatformFlags(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	other := "linux/s390x"
	for _, verb := range [][]string{{"history"}, {"image", "inspect"}, {"save", "-o", "/dev/null"}, {"rmi", "--no-prune"}} {
		h.docker(append(verb, "--platform", other, "busybox")...).fails(1, "image with reference busybox was found but does not provide the specified platform ("+other+")")
		h.docker(append(verb, "--platform", "nonsense/", "busybox")...).fails(1, `invalid platform "nonsense/"`)
	}
	for _, verb := range [][]string{{"history"}, {"image", "inspect"}, {"save", "-o", "/dev/null"}, {"rmi", "--no-prune"}} {
		h.docker(append(verb, "--platform", "linux/"+hostArch(t), "busybox")...).ok()
	}
	h.docker("images", "-q").says("")
}

// TestRareBuildFlags puts steps below a cgroup of the user's, and names the
// flags that BuildKit leaves without effect.
func TestRareBuildFlags(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	parent := filepath.Base(h.root) + "-parent"
	t.Cleanup(func() {
		for _, group := range dirsNamed("/sys/fs/cgroup", parent) {
			if err := os.Remove(group); err != nil {
				t.Errorf("the group above the step's has something left in it: %v", err)
			}
		}
	})
	dir := h.project("flags", "Dockerfile", "FROM busybox\nRUN cat /proc/self/cgroup >/cgroup; grep -c . /cgroup\n")
	out := h.runAs("docker", patience, dir, nil, "build", "-t", "flags", "--cgroup-parent", parent, "--memory", "1g", "--squash", ".").ok().stderr
	for _, want := range []string{"WARNING: --memory is a flag", "WARNING: --squash is a flag"} {
		if !strings.Contains(out, want) {
			t.Errorf("the build says nothing of %q:\n%s", want, out)
		}
	}
	if found := dirsNamed("/sys/fs/cgroup", parent); len(found) == 0 {
		t.Error("the step's cgroup was not below the one that was named")
	}
	h.docker("rmi", "flags").ok()
}
