package runtime

import (
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// BenchmarkRunTrue makes a container, runs true in it, waits and deletes it:
// ours with an overlay, and crun, where it is installed, on a plain directory.
func BenchmarkRunTrue(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		cfg := newConfig(b, "true")
		for b.Loop() {
			if _, status := output(b, cfg); status.ExitStatus() != 0 {
				b.Fatal(status)
			}
			if err := DeleteCgroup(cfg.CgroupPath); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("crun", benchmarkCrun)
}

// crunLoop shows crun the v1 hierarchies alone, since it refuses a hybrid of
// both versions. It does so on a tmpfs of its own: a mount point removed in one
// mount namespace is gone in all.
const crunLoop = `
set -e
mount --make-rprivate /
mkdir "$1/v1" && mount -t tmpfs v1 "$1/v1"
for d in /sys/fs/cgroup/*/; do
	d=${d%/}; [ -e "$d/tasks" ] || continue
	mkdir "$1/v1/${d##*/}" && mount --bind "$d" "$1/v1/${d##*/}"
done
mount --move "$1/v1" /sys/fs/cgroup
cd "$1"
for i in $(seq "$2"); do crun --root "$1/state" --cgroup-manager=cgroupfs run "compose-bench-$$-$i" </dev/null; done`

func benchmarkCrun(b *testing.B) {
	if _, err := exec.LookPath("crun"); err != nil {
		b.Skip("crun is not installed")
	}
	bundle := b.TempDir()
	config := `{"ociVersion":"1.0.0","process":{"user":{"uid":0,"gid":0},"args":["/bin/true"],"cwd":"/"},"root":{"path":"` + busyboxLower(b) + `","readonly":true},
"mounts":[{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/dev","type":"tmpfs","source":"tmpfs"}],
"linux":{"namespaces":[{"type":"pid"},{"type":"network"},{"type":"ipc"},{"type":"uts"},{"type":"mount"}]}}`
	for _, d := range []string{"/proc", "/dev"} {
		if err := os.MkdirAll(busyboxLower(b)+d, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	if err := os.WriteFile(bundle+"/config.json", []byte(config), 0o644); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	out, err := exec.Command("unshare", "-m", "sh", "-c", crunLoop, "sh", bundle, strconv.Itoa(b.N)).CombinedOutput()
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
}
