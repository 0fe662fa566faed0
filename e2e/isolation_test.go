package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// web is a service that serves its own hostname's content under a name that
// every project uses, and a client that only looks names up.
const web = `services:
  web:
    image: busybox
    command: sh -c 'echo %[1]s > /var/www/index.html; exec httpd -f -p 80 -h /var/www'
    stop_grace_period: 0s
  client:
    image: busybox
    command: sleep 1000000
    stop_grace_period: 0s
    depends_on: [web]
`

// TestTwoProjectsDoNotMeet runs two projects with the same service names in one root.
func TestTwoProjectsDoNotMeet(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	red := h.project("red", "compose.yaml", fmt.Sprintf(web, "red"))
	blue := h.project("blue", "compose.yaml", fmt.Sprintf(web, "blue"))
	h.in(red, "up", "-d").ok()
	h.in(blue, "up", "-d").ok()
	for dir, want := range map[string]string{red: "red", blue: "blue"} {
		if got := fetchInside(h, dir, "http://web/"); got != want {
			t.Errorf("in %s, web serves %q", want, got)
		}
		if ps := h.in(dir, "ps", "--services").ok().stdout; ps != "client\nweb\n" && ps != "web\nclient\n" {
			t.Errorf("in %s, ps --services shows %q", want, ps)
		}
	}
	out := h.in(red, "exec", "-T", "client", "nslookup", "blue-web-1")
	if out.code == 0 {
		t.Errorf("red can look up blue's container:\n%s", out.stdout)
	}
	address := addressInside(h, blue, "web")
	if out := h.in(red, "exec", "-T", "client", "wget", "-T", "2", "-q", "-O", "-", "http://"+address+"/"); out.code == 0 {
		t.Errorf("red reaches blue's web at %s: %s", address, out.stdout)
	}
	h.in(red, "down").ok()
	if got := fetchInside(h, blue, "http://web/"); got != "blue" {
		t.Errorf("after red is down, blue's web serves %q", got)
	}
	h.in(blue, "down").ok()
}

// TestTwoRootsDoNotMeet runs the very same project in two installations.
func TestTwoRootsDoNotMeet(t *testing.T) {
	t.Parallel()
	one, two := newHost(t), newHost(t)
	dirs := map[*host]string{}
	for h, content := range map[*host]string{one: "one", two: "two"} {
		h.busybox("busybox")
		dirs[h] = h.project("shop", "compose.yaml", fmt.Sprintf(web, content))
		h.in(dirs[h], "up", "-d").ok()
	}
	for h, want := range map[*host]string{one: "one", two: "two"} {
		if got := fetchInside(h, dirs[h], "http://web/"); got != want {
			t.Errorf("root %s: web serves %q", want, got)
		}
	}
	one.in(dirs[one], "down").ok()
	if left := leftovers(one.root); len(left) > 0 {
		t.Errorf("down left %q", left)
	}
	if got := fetchInside(two, dirs[two], "http://web/"); got != "two" {
		t.Errorf("after the first root is down, the second's web serves %q", got)
	}
	two.in(dirs[two], "down").ok()
}

// TestConcurrentUp starts one project from several commands at the same moment.
func TestConcurrentUp(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("rush", "compose.yaml", fmt.Sprintf(web, "rush"))
	results := make([]result, 4)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() { results[i] = h.in(dir, "up", "-d") })
	}
	wg.Wait()
	for _, r := range results {
		r.ok()
	}
	if ids := strings.Fields(h.in(dir, "ps", "-q").ok().stdout); len(ids) != 2 {
		t.Errorf("%d containers run, want 2", len(ids))
	}
	if got := fetchInside(h, dir, "http://web/"); got != "rush" {
		t.Errorf("web serves %q", got)
	}
	h.in(dir, "down").ok()
}

// TestUpAndDownAtOnce lets up and down race; whoever is last, down then ends it.
func TestUpAndDownAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("race", "compose.yaml", fmt.Sprintf(web, "race"))
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { h.in(dir, "up", "-d") })
		wg.Go(func() { h.in(dir, "down") })
	}
	wg.Wait()
	h.in(dir, "up", "-d").ok()
	if got := fetchInside(h, dir, "http://web/"); got != "race" {
		t.Errorf("web serves %q", got)
	}
	h.in(dir, "down").ok()
}

func fetchInside(h *host, dir, url string) string {
	h.t.Helper()
	var body string
	eventually(h.t, url+" in "+filepath.Base(dir), func() error {
		r := h.in(dir, "exec", "-T", "client", "wget", "-q", "-O", "-", url)
		if r.code != 0 {
			return fmt.Errorf("exit status %d: %s", r.code, r.stderr)
		}
		body = strings.TrimSpace(r.stdout)
		return nil
	})
	return body
}

// addressInside is the IPv4 address of a service's first network interface.
func addressInside(h *host, dir, service string) string {
	h.t.Helper()
	out := h.in(dir, "exec", "-T", service, "ip", "-4", "-o", "addr", "show", "eth0").ok().stdout
	fields := strings.Fields(out)
	for i, f := range fields {
		if f == "inet" && i+1 < len(fields) {
			address, _, _ := strings.Cut(fields[i+1], "/")
			return address
		}
	}
	h.t.Fatalf("no address in %q", out)
	return ""
}
