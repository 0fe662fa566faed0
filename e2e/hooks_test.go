package e2e

import "testing"

// TestHooks runs commands inside containers when they have started and before
// they stop.
func TestHooks(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("hooked", "compose.yml", `
services:
  app:
    image: busybox
    command: sleep 600
    user: "1000"
    volumes: [kept:/kept]
    post_start:
      - command: [sh, -c, "echo up $$WHO $$(id -u) $$(pwd) >>/kept/log; chmod 666 /kept/log"]
        user: root
        working_dir: /bin
        environment: [WHO=me]
    pre_stop:
      - command: sh -c "echo down >>/kept/log"
        user: root
  late:
    image: busybox
    command: sleep 600
    volumes: [kept:/kept]
    depends_on: [app]
  broken:
    image: busybox
    command: sleep 600
    profiles: [broken]
    post_start:
      - command: [sh, -c, "echo oh no; exit 3"]
volumes: {kept: {}}
`)
	log := func(want string) {
		t.Helper()
		h.in(dir, "run", "--rm", "--no-deps", "-T", "late", "cat", "/kept/log").ok().says(want)
	}
	h.in(dir, "up", "-d").ok()
	log("up me 0 /bin")
	h.in(dir, "up", "-d").ok() // nothing starts, nothing is run
	log("up me 0 /bin")
	h.in(dir, "restart", "-t", "0", "app").ok()
	log("up me 0 /bin\ndown\nup me 0 /bin")
	h.in(dir, "stop", "-t", "0", "app").ok()
	h.in(dir, "stop", "-t", "0", "app").ok()
	log("up me 0 /bin\ndown\nup me 0 /bin\ndown")
	h.in(dir, "start", "app").ok()
	h.in(dir, "down", "-t", "0").ok()
	h.in(dir, "up", "-d", "--no-deps", "late").ok()
	log("up me 0 /bin\ndown\nup me 0 /bin\ndown\nup me 0 /bin\ndown")
	h.in(dir, "up", "-d", "broken").fails(1, "services.broken.post_start[0]: container hooked-broken-1: it exited with status 3: oh no")
	h.in(dir, "--profile", "*", "down", "-v", "-t", "0").ok()
}

// TestPreStart runs containers to their end before those of a service start.
func TestPreStart(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	h.busybox("other")
	dir := h.project("init", "compose.yml", `
services:
  db:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
  app:
    image: busybox
    command: sleep 600
    stop_grace_period: 0s
    depends_on: [db]
    environment: {WHO: app}
    volumes: [kept:/kept, /own]
    scale: 2
    pre_start:
      - image: other
        command: [sh, -c, "echo first $$WHO $$EXTRA $$(id -u) >>/kept/log; ping -c 1 -W 5 db >/dev/null && echo reached >>/kept/log; echo here >/own/mark"]
        environment: {EXTRA: more}
        user: "0:50"
      - command: [sh, -c, "echo each >>/kept/log"]
        per_replica: true
  broken:
    image: busybox
    profiles: [broken]
    command: sleep 600
    pre_start: [{command: [sh, -c, "echo no luck; exit 5"]}]
volumes: {kept: {}}
`)
	log := func(want string) {
		t.Helper()
		h.in(dir, "exec", "-T", "app", "cat", "/kept/log").ok().says(want)
	}
	h.in(dir, "up", "-d").ok()
	log("first app more 0\nreached\neach\neach")
	h.in(dir, "exec", "-T", "app", "cat", "/own/mark").says("here") // of its first container
	h.in(dir, "ps", "-a", "-q", "app").ok()
	h.in(dir, "up", "-d").ok() // nothing starts, nothing is run
	h.in(dir, "up", "-d", "--scale", "app=3").ok()
	log("first app more 0\nreached\neach\neach\neach")
	h.in(dir, "stop").ok()
	h.in(dir, "start").ok()
	log("first app more 0\nreached\neach\neach\neach\nfirst app more 0\nreached\neach\neach\neach")
	for range 2 {
		h.in(dir, "up", "-d", "broken").fails(1, `service "broken" pre_start[0] exited with code 5: no luck (hook container init-broken-1-pre_start-0 retained for inspection)`)
		h.docker("logs", "init-broken-1-pre_start-0").says("no luck")
	}
	h.docker("inspect", "-f", `{{index .Config.Labels "com.docker.compose.hook"}}`, "init-broken-1-pre_start-0").says("pre_start")
	h.in(dir, "--profile", "*", "down", "-v").ok()
}
