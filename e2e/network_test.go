package e2e

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNetworkConnect moves containers between networks while they run and
// while they do not.
func TestNetworkConnect(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	for _, n := range []string{"front", "back"} {
		h.docker("network", "create", n).ok()
	}
	h.docker("run", "-d", "--name", "web", "--network", "front", "busybox", "sleep", "600").ok()
	h.docker("run", "-d", "--name", "db", "--network", "back", "busybox", "sleep", "600").ok()
	if out := h.docker("exec", "web", "ping", "-c", "1", "-W", "1", "db"); out.code == 0 {
		t.Error("web reaches db before they share a network")
	}
	h.docker("network", "connect", "--alias", "shop", "--ip6", "x", "back", "web").fails(1, `invalid IP address: "x"`)
	h.docker("network", "connect", "--alias", "shop", "back", "web").ok()
	reaches := func(from, to string) {
		t.Helper()
		h.docker("exec", from, "ping", "-c", "1", "-W", "20", to).ok()
	}
	reaches("web", "db")
	reaches("db", "shop")
	reaches("db", "web")
	h.docker("network", "connect", "back", "web").fails(1, "endpoint with name web already exists in network back")
	h.docker("inspect", "-f", "{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}", "web").says("back front")
	if out := h.docker("network", "inspect", "-f", "{{range .Containers}}{{.Name}} {{end}}", "back").ok().stdout; !strings.Contains(out, "web") {
		t.Errorf("network inspect: %s", out)
	}
	h.docker("network", "rm", "back").fails(1, "web")

	// It keeps its networks over a restart, and over that of its supervisor.
	h.docker("restart", "-t", "0", "web").ok()
	reaches("db", "shop")
	h.docker("network", "disconnect", "front", "web").ok()
	h.docker("exec", "web", "ip", "-o", "link").ok()
	h.docker("network", "disconnect", "front", "web").fails(1, "container web is not connected to network front")
	h.docker("network", "rm", "front").ok()
	reaches("web", "db")

	// One that does not run has it at its next start.
	h.docker("stop", "-t", "0", "web").ok()
	h.docker("network", "create", "late").ok()
	h.docker("network", "connect", "late", "web").ok()
	h.docker("start", "web").ok()
	if out := h.docker("exec", "web", "ip", "-o", "-4", "addr").ok().stdout; strings.Count(out, "scope global") != 2 {
		t.Errorf("its addresses:\n%s", out)
	}

	h.docker("network", "connect", "late", "nobody").fails(1, "nobody")
	h.docker("network", "connect", "nothing", "web").fails(1, "nothing")
	h.docker("run", "-d", "--name", "own", "--network", "none", "busybox", "sleep", "600").ok()
	h.docker("network", "connect", "late", "own").fails(1, "private (none) mode")
	h.docker("run", "-d", "--name", "shared", "--network", "container:web", "busybox", "sleep", "600").ok()
	h.docker("network", "connect", "back", "shared").fails(1, "container sharing network namespace with another container or host cannot be connected")
	h.docker("network", "connect", "bridge", "db").ok()
	h.docker("exec", "db", "ip", "-o", "link", "show", "eth1").ok()
	h.docker("network", "disconnect", "bridge", "db").ok()
	h.docker("rm", "-f", "web", "db", "own", "shared").ok()
	h.docker("network", "rm", "back", "late").ok()
}

// TestConnectedContainer looks at all that follows from a container's networks:
// its published ports, its name files, its next start, and its project.
func TestConnectedContainer(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	h.docker("network", "create", "--subnet", "10.231.8.0/24", "back").ok()
	h.docker("network", "create", "--internal", "shut").ok()
	h.docker("run", "-d", "--name", "web", "--network", "shut", "-p", "127.0.0.1:0:80", "busybox",
		"sh", "-c", "echo 10.1.1.1 mine >>/etc/hosts; echo page >/var/www/index.html; exec httpd -f -h /var/www").ok()
	h.docker("run", "-d", "--name", "client", "--network", "back", "busybox", "sleep", "100000").ok()
	fetch := func(name string) {
		t.Helper()
		eventually(t, "the page of "+name, func() error {
			if out := h.docker("exec", "client", "wget", "-qO-", "http://"+name+"/"); out.stdout != "page\n" {
				return errors.New(out.stderr)
			}
			return nil
		})
	}
	published := func() {
		t.Helper()
		address := strings.TrimSpace(h.docker("port", "web", "80").ok().stdout)
		eventually(t, "the published page", func() error { _, err := get("http://" + address); return err })
	}
	// With a way out, its ports are published, and its own /etc/hosts is kept.
	h.docker("network", "connect", "--alias", "site", "--ip", "10.231.8.77", "back", "web").ok().says("")
	fetch("site")
	published()
	h.docker("exec", "web", "sh", "-c", "grep -c mine /etc/hosts; grep -c 10.231.8.77 /etc/hosts").says("1\n1")
	h.docker("inspect", "-f", `{{with index .NetworkSettings.Networks "back"}}{{.IPAddress}} {{.Aliases}}{{end}}`, "web").says("10.231.8.77 [site]")
	h.docker("ps", "--format", "{{.Names}}", "--filter", "network=back").says("client\nweb")
	h.docker("network", "connect", "--ip", "10.231.8.77", "back", "web").fails(1, "already exists in network back")
	h.docker("network", "connect", "--link-local-ip", "10.1.1.2", "shut", "client").fails(1, "invalid link-local IP address: 10.1.1.2")
	h.docker("network", "connect", "nosuch", "nobody").fails(1, "network nosuch not found")
	h.docker("network", "connect", "host", "web").fails(1, "connected to host network")
	h.docker("network", "connect", "none", "web").fails(1, "private (none) mode")

	// It outlives its supervisor, and a restart.
	if err := unix.Kill(ourProcess(t, "compose-supervisor", h.root, 0), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.docker("network", "connect", "--link", "web:page", "--link-local-ip", "169.254.1.2", "--driver-opt", "com.docker.network.endpoint.ifname=shut0", "shut", "client").ok()
	h.docker("exec", "client", "sh", "-c", "ip -o -4 addr show shut0 | grep -c 169.254.1.2/16").says("1")
	fetch("page")
	fetch("site")
	published()
	h.docker("restart", "-t", "0", "web").ok()
	fetch("site")
	published()
	h.docker("network", "disconnect", "shut", "web").ok().says("")
	published()
	h.docker("network", "disconnect", "back", "web").ok()
	h.docker("exec", "web", "grep", "10.231.8", "/etc/hosts").fails(1)
	if out := h.docker("exec", "client", "nslookup", "site"); out.code == 0 {
		t.Errorf("the client still finds it: %s", out.stdout)
	}
	h.docker("network", "connect", "--ip", "10.231.8.80", "--alias", "late", "back", "web").ok()
	published()

	// One that does not run. An address is checked as far as that can be.
	h.docker("create", "--name", "later", "busybox", "wget", "-qO-", "http://late/").ok()
	h.docker("network", "connect", "--ip", "10.9.9.9", "back", "later").fails(1, "contains the address 10.9.9.9")
	h.docker("network", "connect", "--ip", "10.231.8.80", "back", "later").ok()
	h.docker("start", "later").fails(1, "address 10.231.8.80 on network back is already used by web")
	h.docker("network", "disconnect", "back", "later").ok()
	h.docker("network", "connect", "back", "later").ok()
	h.docker("start", "-a", "later").says("page")
	// One that has no network at all comes to one, with its resolver, by
	// leaving that, also while it runs.
	h.docker("run", "-d", "--name", "blank", "--network", "none", "busybox", "sleep", "100000").ok()
	h.docker("network", "disconnect", "back", "blank").fails(1, "blank is not connected to network back")
	h.docker("network", "disconnect", "none", "blank").ok()
	h.docker("network", "connect", "back", "blank").ok()
	h.docker("exec", "blank", "wget", "-qO-", "http://late/").says("page")
	h.docker("restart", "-t", "0", "blank").ok()
	h.docker("exec", "blank", "wget", "-qO-", "http://late/").says("page")

	// `up` leaves one more network alone, and misses the project's own.
	dir := h.project("shop", "compose.yaml", "services:\n  app:\n    image: busybox\n    command: sleep 100000\n    stop_grace_period: 0s\n")
	h.in(dir, "up", "-d").ok()
	h.compose("network", "connect", "back", "shop-app-1").ok()
	h.in(dir, "exec", "-T", "app", "wget", "-qO-", "http://late/").says("page")
	id := h.in(dir, "ps", "-q").ok().stdout
	h.in(dir, "up", "-d").ok()
	h.in(dir, "ps", "-q").says(id)
	h.compose("network", "disconnect", "shop_default", "shop-app-1").ok()
	h.in(dir, "up", "-d").ok()
	if again := h.in(dir, "ps", "-q").ok().stdout; again == id {
		t.Error("up does not notice that a container has left its network")
	}
	h.compose("network", "connect", "shop_default", "client").ok()
	h.docker("exec", "client", "nslookup", "app").ok()
	h.compose("network", "disconnect", "-f", "shop_default", "client").ok()
	h.in(dir, "down").ok()
	h.docker("rm", "-f", "web", "client", "later", "blank").ok()
	h.docker("network", "rm", "back", "shut").ok()
}
