package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestExposureOfState walks the directories of an installation with a running
// stack: nobody but root gets at its sockets and its state.
func TestExposureOfState(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("state", "s.txt", "hush", "compose.yml", `services:
  app:
    image: busybox
    command: sleep 1000000
    stop_grace_period: 0s
    ports: ["127.0.0.1::80"]
    volumes: [data:/data]
    secrets: [s]
    healthcheck: {test: "true", interval: 1s}
volumes: {data: {}}
secrets: {s: {file: s.txt}}
`)
	h.in(dir, "up", "-d").ok()
	for _, top := range []string{h.root, filepath.Join(h.root, "run")} {
		if info, err := os.Stat(top); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: mode %v, %v", top, info.Mode(), err)
		}
	}
	sockets, states := 0, 0
	err := filepath.WalkDir(h.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // made and removed meanwhile
		}
		rel, _ := filepath.Rel(h.root, path)
		if d.IsDir() && (strings.HasPrefix(rel, "layers/") || strings.HasPrefix(rel, "volumes/data") || strings.HasSuffix(rel, "/upper")) {
			return fs.SkipDir // the containers' own files
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		switch {
		case d.Type()&fs.ModeSocket != 0:
			sockets++
		case strings.HasSuffix(path, ".json"):
			states++
		default:
			return nil
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || sockets == 0 || states < 3 {
		t.Errorf("seen %d sockets and %d state files (%v)", sockets, states, err)
	}
	h.in(dir, "down", "-v").ok()
}

// TestExposureOfSecrets plants values that are nowhere else and looks for them
// in everything that is shown, logged or left for others to read.
func TestExposureOfSecrets(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	fromFile, fromEnv, fromBuild := "planted-in-a-file-4711", "planted-in-the-environment-4712", "planted-for-the-build-4713"
	dir := h.project("hush", "s.txt", fromFile, "b.txt", fromBuild,
		"Dockerfile", "FROM busybox\nRUN --mount=type=secret,id=b grep -q planted /run/secrets/b && echo BUILT\n",
		"compose.yml", `services:
  app:
    build: {context: ., secrets: [b]}
    command: sh -c 'cat /run/secrets/s /run/secrets/e | wc -c; exec sleep 1000000'
    stop_grace_period: 0s
    secrets: [s, e]
    healthcheck: {test: "test -e /run/secrets/s", interval: 1s}
secrets:
  s: {file: s.txt}
  b: {file: b.txt}
  e: {environment: HUSH}
`)
	run := func(args ...string) string {
		cmd := h.command(t.Context(), dir, args...)
		cmd.Args[0], cmd.Env = "compose", append(cmd.Env, "HUSH="+fromEnv)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, &out)
		}
		return out.String()
	}
	shown := map[string]string{}
	ctx, cancel := context.WithCancel(t.Context())
	events := h.command(ctx, dir, "events", "--json")
	var told locked
	events.Args[0], events.Stdout, events.Stderr = "compose", &told, &told
	if err := events.Start(); err != nil {
		t.Fatal(err)
	}
	shown["up"] = run("--progress", "plain", "up", "-d", "--build")
	eventually(t, "the container counts its secrets", func() error {
		log := run("logs", "--no-log-prefix")
		if want := fmt.Sprintln(len(fromFile) + len(fromEnv)); log != want {
			return fmt.Errorf("it says %q, want %q", log, want)
		}
		return nil
	})
	id := strings.TrimSpace(run("ps", "-q"))
	for _, args := range [][]string{
		{"config"},
		{"config", "--format", "json"},
		{"config", "--environment"},
		{"config", "--variables"},
		{"ps", "--format", "json"},
		{"logs", "-t"},
		{"top"},
		{"images"},
		{"container", "inspect", id},
		{"container", "ls", "--no-trunc"},
		{"image", "inspect", "hush-app"},
		{"image", "history", "--no-trunc", "hush-app"},
		{"graph"},
		{"exec", "-T", "app", "env"},
		{"up", "--dry-run", "--force-recreate"},
		{"--progress", "json", "up", "-d"},
	} {
		shown[strings.Join(args, " ")] = run(args...)
	}
	cancel()
	_ = events.Wait()
	shown["events"] = told.String()
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		cmdline, _ := os.ReadFile(filepath.Join(p, "cmdline"))
		shown["arguments of "+p] = string(cmdline)
	}
	_ = filepath.WalkDir(h.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		data, _ := os.ReadFile(path)
		// What is for a container to read lies below directories of root's
		// alone (TestExposureOfState); these are read by verbs, or pushed.
		if name := filepath.Base(path); strings.HasSuffix(name, ".log") || strings.HasSuffix(name, ".json") || strings.Contains(path, "/layers/") || strings.Contains(path, "/build/") || strings.Contains(path, "/images/") {
			shown[path] = string(data)
		}
		return nil
	})
	for where, text := range shown {
		for _, value := range []string{fromFile, fromEnv, fromBuild} {
			if strings.Contains(text, value) {
				t.Errorf("%s shows %q", where, value)
			}
		}
	}
	run("down", "--rmi", "all")
}

// TestExposureOfPorts: a port is open where it was published, and nowhere else.
func TestExposureOfPorts(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	// Services of the host: on its loopback, which no container may reach.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	port := l.Addr().(*net.TCPAddr).Port
	dir := h.project("ports", "compose.yml", `services:
  web:
    image: busybox
    command: sh -c 'httpd -f -p 80 -h /var/www & exec httpd -f -p 81 -h /var/www'
    stop_grace_period: 0s
    ports: ["127.0.0.1::80"]
    networks: [one]
  near: &client
    image: busybox
    command: sleep 1000000
    stop_grace_period: 0s
    volumes: ["`+probe(t)+`:/probe:ro"]
    networks: [one]
  far:
    <<: *client
    networks: [two]
  shut:
    <<: *client
    networks: [closed]
  rude:
    <<: *client
    cap_add: [NET_ADMIN]
    sysctls: {net.ipv4.conf.all.route_localnet: "1"}
networks: {one: {}, two: {}, closed: {internal: true}}
`)
	h.in(dir, "up", "-d").ok()
	published := strings.TrimSpace(h.in(dir, "port", "web", "80").ok().stdout)
	if !strings.HasPrefix(published, "127.0.0.1:") {
		t.Fatalf("published at %s", published)
	}
	_, publishedPort, _ := net.SplitHostPort(published)
	eventually(t, "the published port", func() error { _, err := net.DialTimeout("tcp", published, 20*time.Second); return err })
	web := addressInside(h, dir, "web")
	gateway := func(service string) string {
		out := h.in(dir, "exec", "-T", service, "ip", "route").ok().stdout
		fields := strings.Fields(out)
		for i, f := range fields {
			if f == "via" {
				return fields[i+1]
			}
		}
		// An internal network has no way out; its bridge has the first address.
		own := addressInside(h, dir, service)
		return own[:strings.LastIndexByte(own, '.')] + ".1"
	}
	reaches := func(service string, addresses ...string) map[string]bool {
		out := answers(h.in(dir, append([]string{"exec", "-T", service, "/probe/probe", "connect"}, addresses...)...).ok().stdout)
		got := map[string]bool{}
		for a, v := range out {
			got[a] = v == "true"
		}
		return got
	}
	eventually(t, "web, on its own network", func() error {
		if got := reaches("near", web+":80", web+":81"); !got[web+":80"] || !got[web+":81"] {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	host := fmt.Sprint(":", port)
	for service, addresses := range map[string][]string{
		// Another network, the host's loopback by every name, and the port
		// that is published on the loopback alone.
		"near": {"127.0.0.1" + host, gateway("near") + host, gateway("near") + ":" + publishedPort, "127.0.0.1:" + publishedPort},
		"far":  {web + ":80", web + ":81", gateway("far") + host, gateway("near") + host, gateway("far") + ":" + publishedPort, gateway("near") + ":" + publishedPort},
		"shut": {web + ":80", gateway("shut") + host, gateway("near") + host, gateway("shut") + ":" + publishedPort, gateway("near") + ":" + publishedPort},
	} {
		for address, ok := range reaches(service, addresses...) {
			if ok {
				t.Errorf("%s reaches %s", service, address)
			}
		}
	}
	for _, address := range []string{net.JoinHostPort(gateway("near"), publishedPort), "127.0.0.1:81"} {
		if c, err := net.DialTimeout("tcp", address, 300*time.Millisecond); err == nil {
			c.Close()
			if address != "127.0.0.1:81" {
				t.Errorf("the host reaches %s", address)
			}
		}
	}
	// CVE-2020-8558: packets to 127.0.0.1 that are sent to the host over the bridge.
	h.in(dir, "exec", "-T", "rude", "sh", "-c", "ip addr del 127.0.0.1/8 dev lo; ip route del table local 127.0.0.0/8; ip route del table local 127.0.0.1; ip route add 127.0.0.0/8 via "+gateway("near"))
	for address, ok := range reaches("rude", "127.0.0.1"+host, "127.0.0.1:"+publishedPort) {
		if ok {
			t.Errorf("over the bridge, a container reaches the host's %s", address)
		}
	}
	h.in(dir, "down").ok()
}

// TestAttackNames: names and labels that try to be paths, flags, or lines of
// somebody else's language.
func TestAttackNames(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	evil := []string{"../../etc/x", "/etc/x", "a/b", "..", "-rf", "a b", "a;b", "a\nb", `"; flush ruleset; #`, "$(touch /tmp/x)", "a{b}", strings.Repeat("x", 300)}
	for _, name := range evil {
		for what, yaml := range map[string]string{
			"container_name": "services:\n  app:\n    image: busybox\n    command: \"true\"\n    container_name: " + quote(name) + "\n",
			"network name":   "services:\n  app: {image: busybox, command: \"true\", networks: [n]}\nnetworks:\n  n:\n    name: " + quote(name) + "\n",
			"volume name":    "services:\n  app: {image: busybox, command: \"true\", volumes: [\"v:/v\"]}\nvolumes:\n  v:\n    name: " + quote(name) + "\n",
			"project name":   "name: " + quote(name) + "\nservices:\n  app: {image: busybox, command: \"true\"}\n",
			"bridge name":    "services:\n  app: {image: busybox, command: \"true\", networks: [n]}\nnetworks:\n  n:\n    driver_opts: {com.docker.network.bridge.name: " + quote(name) + "}\n",
		} {
			dir := h.project("names", "compose.yml", yaml)
			r := h.in(dir, "up", "-d")
			// A project's name is made a good one, as Docker Compose does.
			if r.code == 0 && what != "project name" && (what != "network name" && what != "bridge name" || strings.ContainsAny(name, "/\n")) {
				t.Errorf("%s %q was taken", what, name)
			}
			if strings.Contains(r.stderr, "panic:") {
				t.Errorf("%s %q: %s", what, name, r.stderr)
			}
			h.in(dir, "down", "-v")
		}
	}
	// Labels may say anything, and stay what they are.
	value := `"; flush ruleset; $(touch /tmp/x) ../../etc {{.Config}} ` + "\x1b[2J"
	h.docker("run", "-d", "--name", "labelled", "--label", "k="+value, "--label", "../../k=v", "-p", "127.0.0.1::80", "busybox", "sleep", "1000000").ok()
	if got := h.docker("container", "inspect", "-f", `{{index .Config.Labels "k"}}`, "labelled").ok().stdout; got != value+"\n" {
		t.Errorf("the label is %q", got)
	}
	if id := h.docker("ps", "-q", "--filter", "label=k="+value).ok().stdout; len(strings.Fields(id)) != 1 {
		t.Errorf("found by its label: %q", id)
	}
	h.docker("rm", "-f", "labelled").ok()
	if outputs := entries(filepath.Dir(h.root)); len(outputs) == 0 {
		t.Error("the directory above the root is gone")
	}
}
