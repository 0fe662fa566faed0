package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestVolumeAttributes looks at each type of mount from inside.
func TestVolumeAttributes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("vols", "Dockerfile", "FROM busybox\nCOPY a.txt /data/deep/a\nCOPY b.txt /data/deep/b\nRUN rm /data/deep/a && mkdir /data/more\n",
		"a.txt", "a\n", "b.txt", "b\n", "host/file", "of the host\n", "compose.yml", `
services:
  data: {build: ., image: "data:1", profiles: [build]}
  app:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    volumes:
      - {type: image, source: "data:1", target: /img}
      - {type: image, source: "data:1", target: /part, image: {subpath: data/deep}}
      - {type: image, source: "data:1", target: /one, image: {subpath: data/deep/b}}
      - ./host:/host:ro
      - {type: bind, source: ./made, target: /made, bind: {create_host_path: true}}
      - {type: volume, source: kept, target: /etc/kept, volume: {nocopy: true}}
      - {type: volume, source: bound, target: /bound}
      - {type: volume, source: memory, target: /memory}
      - {type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0711}}
  taker: {image: busybox, command: sleep 600, stop_grace_period: 0s, volumes_from: ["app:ro", "container:outer"], depends_on: [app]}
volumes:
  kept: {labels: {tier: inner}}
  bound: {driver: local, driver_opts: {type: none, o: bind, device: ./host}}
  memory: {driver: local, driver_opts: {type: tmpfs, device: tmpfs, o: "size=2m,uid=7"}}
  far: {driver_opts: {type: nfs, o: "addr=127.0.0.1,nolock,soft", device: ":/export"}}
`)
	h.docker("run", "-d", "--name", "outer", "-v", "/outer", "busybox", "sh", "-c", "echo outer >/outer/file; exec sleep 600").ok()
	h.in(dir, "build", "data").ok()
	h.in(dir, "up", "-d").ok()
	inside := func(service, script, want string) {
		t.Helper()
		h.in(dir, "exec", "-T", service, "sh", "-c", script).ok().says(want)
	}
	inside("app", "ls /img/data /img/data/deep; test -x /img/bin/busybox && echo whole", "/img/data:\ndeep\nmore\n\n/img/data/deep:\nb\nwhole")
	inside("app", "ls /part; cat /part/b /one", "b\nb\nb")
	inside("app", "touch /img/x /part/x 2>&1 | sed 's/.*: //' | sort -u", "Read-only file system")
	inside("app", "cat /host/file; touch /host/x 2>&1 | sed 's/.*: //'; ls /made | wc -l", "of the host\nRead-only file system\n0")
	inside("app", "cat /bound/file; df -k /memory | tail -n 1 | awk '{print $2}'; stat -c %u /memory", "of the host\n2048\n7")
	inside("app", "stat -c %a /t; df -k /t | tail -n 1 | awk '{print $2}'", "711\n1024")
	inside("taker", "cat /outer/file /part/b; touch /made/x 2>&1 | sed 's/.*: //'", "outer\nb\nRead-only file system")
	h.docker("volume", "inspect", "-f", "{{.Labels.tier}}", "vols_kept").says("inner")
	if out := h.docker("image", "rm", "data:1"); out.code == 0 || !strings.Contains(out.stderr, "container") {
		t.Errorf("an image that is mounted is removed: %s%s", out.stdout, out.stderr)
	}
	h.in(dir, "up", "-d", "--force-recreate").ok()
	inside("app", "cat /one", "b")
	h.in(dir, "down", "-v").ok()
	h.docker("rm", "-f", "-v", "outer").ok()

	for yaml, want := range map[string]string{
		"{type: image, source: nosuch, target: /x}":                                    "nosuch",
		"{type: image, source: busybox, target: /x, image: {subpath: no/such}}":        "subpath no/such: there is no such file or directory in it",
		"{type: volume, source: v, target: /x, volume: {subpath: none}}":               "none",
		"{type: bind, source: ./nothing, target: /x, bind: {create_host_path: false}}": "bind source path does not exist",
		"{type: cluster, source: v, target: /x}":                                       "cluster volumes are Swarm's",
	} {
		dir := h.project("bad", "compose.yml", "services: {app: {image: busybox, command: \"true\", pull_policy: missing, volumes: ["+yaml+"]}}\nvolumes: {v: {}}\n")
		h.in(dir, "up", "-d").fails(1, want)
		h.in(dir, "down", "-v").ok()
	}
}

// TestCDIDevice hands in a device that a file of the host describes.
func TestCDIDevice(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	if err := os.MkdirAll("/etc/cdi", 0o755); err != nil {
		t.Fatal(err)
	}
	kind := fmt.Sprintf("example.com/ce%d", os.Getpid())
	file := "/etc/cdi/" + filepath.Base(kind) + ".yaml"
	t.Cleanup(func() {
		_ = os.Remove(file)
		_ = os.Remove("/etc/cdi") // unless others have files there
	})
	if err := os.WriteFile(file, []byte(`
cdiVersion: 0.6.0
kind: `+kind+`
devices:
  - name: one
    containerEdits:
      env: [CARD=one]
      deviceNodes: [{path: /dev/card, hostPath: /dev/zero, permissions: r}]
      mounts: [{hostPath: /etc/hostname, containerPath: /vendor/name}]
`), 0o644); err != nil {
		t.Fatal(err)
	}
	script := `command: [sh, -c, "head -c 2 /dev/card | od -An -tx1; echo $$CARD; test -s /vendor/name && echo mounted"]`
	dir := h.project("cdi", "compose.yml", `
services:
  short: {image: busybox, devices: ["`+kind+`=one"], `+script+`}
  long: {image: busybox, deploy: {resources: {reservations: {devices: [{driver: cdi, capabilities: [gpu], device_ids: ["`+kind+`=one"]}]}}}, `+script+`}
`)
	for _, service := range []string{"short", "long"} {
		out := h.in(dir, "up", "--no-log-prefix", "--no-color", service).ok()
		for _, want := range []string{" 00 00\n", "\none\n", "mounted\n"} {
			if !strings.Contains("\n"+out.stdout, want) {
				t.Errorf("%s: no %q in %q", service, want, out.stdout)
			}
		}
	}
	h.in(dir, "down").ok()
	dir = h.project("cdi", "compose.yml", "services: {app: {image: busybox, devices: [\""+kind+"=two\"]}}\n")
	h.in(dir, "up", "-d").fails(1, "unresolvable CDI devices "+kind+"=two")
	h.in(dir, "down").ok()
}
