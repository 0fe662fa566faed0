package e2e

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestNetworkAttributes looks at the interfaces of services from inside.
func TestNetworkAttributes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	bridge := fmt.Sprintf("ce%d", os.Getpid())
	h.docker("run", "-d", "--name", "legacy", "busybox", "sleep", "100000").ok()
	dir := h.project("nets", "compose.yml", `
services:
  app:
    image: busybox
    command: sleep 100000
    stop_grace_period: 0s
    links: ["db:database", db]
    external_links: ["legacy:old", legacy]
    networks:
      front:
        interface_name: front0
        link_local_ips: [169.254.8.9]
        driver_opts: {com.docker.network.endpoint.sysctls: "net.ipv4.conf.IFNAME.log_martians=1"}
        aliases: [site]
        gw_priority: 1
      back: {ipv4_address: 10.213.77.9, mac_address: "02:99:00:00:00:07"}
      shared:
  db:
    image: busybox
    command: sleep 100000
    stop_grace_period: 0s
    networks: [back]
  next:
    image: busybox
    command: sleep 100000
    stop_grace_period: 0s
    networks: [back]
networks:
  front:
    driver_opts: {com.docker.network.bridge.name: `+bridge+`, com.docker.network.driver.mtu: "1380"}
  back:
    internal: true
    labels: {tier: inner}
    ipam: {config: [{subnet: 10.213.77.0/24, ip_range: 10.213.77.128/25, gateway: 10.213.77.200, aux_addresses: {a: 10.213.77.128, b: 10.213.77.129}}]}
  shared: {external: true, name: other}
`)
	h.docker("network", "create", "other").ok()
	h.docker("network", "connect", "other", "legacy").ok()
	h.in(dir, "up", "-d").ok()
	inside := func(service, script, want string) {
		t.Helper()
		if got := h.in(dir, "exec", "-T", service, "sh", "-c", script).ok().stdout; strings.TrimSpace(got) != want {
			t.Errorf("%s: %s: %q, want %q", service, script, strings.TrimSpace(got), want)
		}
	}
	inside("app", "cat /sys/class/net/front0/mtu", "1380")
	inside("app", "ip -o -4 addr show front0 | grep -c 169.254.8.9/16", "1")
	inside("app", "cat /proc/sys/net/ipv4/conf/front0/log_martians", "1")
	inside("app", "ip route | grep ^default | sed 's/.*dev //' | tr -d ' '", "front0")
	inside("app", "ip -o addr | grep 10.213.77.9/ | awk '{print $2}' | xargs -I@ cat /sys/class/net/@/address", "02:99:00:00:00:07")
	inside("db", "ip -o -4 addr show eth0 | grep -cE '10.213.77.13./24'", "1") // of the range, past the addresses of others
	inside("db", "ip route | grep -c ^default || true", "0")
	for _, name := range []string{"database", "db", "db-1", "nets-db-1"} {
		inside("app", "ping -c 1 -W 5 "+name+" >/dev/null && echo reached", "reached")
	}
	inside("app", "ping -c 1 -W 5 old >/dev/null && echo reached", "reached")
	if out := h.in(dir, "exec", "-T", "next", "ping", "-c", "1", "-W", "1", "database"); out.code == 0 {
		t.Error("a link is seen by another service")
	}
	h.docker("network", "inspect", "-f", `{{index .Options "com.docker.network.bridge.name"}}`, "nets_front").says(bridge)
	if _, err := os.Stat("/sys/class/net/" + bridge + "/bridge"); err != nil {
		t.Error(err)
	}
	h.docker("inspect", "-f", `{{with index .NetworkSettings.Networks "nets_front"}}{{.DriverOpts}} {{.GwPriority}}{{end}}`, "nets-app-1").
		says("map[com.docker.network.endpoint.ifname:front0 com.docker.network.endpoint.sysctls:net.ipv4.conf.IFNAME.log_martians=1] 1")
	h.in(dir, "down").ok()
	if _, err := os.Stat("/sys/class/net/" + bridge); err == nil {
		t.Errorf("the bridge %s is still there", bridge)
	}
	h.docker("rm", "-f", "legacy").ok()
	h.docker("network", "rm", "other").ok()
}

// TestIPv6 publishes ports and resolves names over IPv6, beside IPv4 and
// without it.
func TestIPv6(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("six", "compose.yml", `
services:
  both:
    image: busybox
    command: sh -c "echo both >/var/www/index.html; exec httpd -f -h /var/www"
    stop_grace_period: 0s
    ports: ["[::1]:0:80", "127.0.0.1:0:80"]
    networks: {dual: {ipv6_address: "fd9c:1::77"}, only:}
  only:
    image: busybox
    command: sh -c "echo only >/var/www/index.html; exec httpd -f -p [::]:80 -h /var/www"
    stop_grace_period: 0s
    ports: ["0:80"]
    networks: [only]
networks:
  dual: {enable_ipv6: true, ipam: {config: [{subnet: "fd9c:1::/64"}]}}
  only: {enable_ipv4: false, enable_ipv6: true}
`)
	h.in(dir, "up", "-d").ok()
	inside := func(service, script, want string) {
		t.Helper()
		eventually(t, service+": "+script, func() error {
			out := h.in(dir, "exec", "-T", service, "sh", "-c", script)
			if got := strings.TrimSpace(out.stdout); got != want {
				return fmt.Errorf("%q, want %q: %s", got, want, out.stderr)
			}
			return nil
		})
	}
	inside("both", "ip -o -6 addr show scope global | grep -c fd9c:1::77/64", "1")
	inside("both", "ip -6 route show default | wc -l", "1")
	inside("both", "nslookup -type=aaaa both 127.0.0.11 | grep -c fd9c:1::77", "1")
	inside("only", "ip -o -4 addr show scope global | wc -l", "0")
	inside("only", "grep -c 'fd.*only\\|fd' /etc/hosts", "1")
	inside("both", "wget -qO- http://only/", "only")
	inside("only", "wget -qO- http://both/", "both")
	page := func(service, port, want string) {
		t.Helper()
		for line := range strings.Lines(h.in(dir, "port", service, port).ok().stdout) {
			eventually(t, "the page of "+service+" at "+line, func() error {
				address := strings.Replace(strings.TrimSpace(line), "0.0.0.0", "127.0.0.1", 1)
				got, err := get("http://" + address)
				if err == nil && got != want {
					err = errors.New(got)
				}
				return err
			})
		}
	}
	page("both", "80", "both\n")
	page("only", "80", "only\n")
	h.docker("network", "inspect", "-f", "{{.EnableIPv4}} {{.EnableIPv6}}", "six_only").says("false true")
	h.in(dir, "down").ok()
	dir = h.project("six", "compose.yml", "services: {a: {image: busybox, networks: [n]}}\nnetworks: {n: {enable_ipv4: false}}\n")
	h.in(dir, "up", "-d").fails(1, "IPv4 or IPv6 must be enabled")
	h.in(dir, "down").ok()
}

// TestNetworkDrivers uses each driver that a network can have here.
func TestNetworkDrivers(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("drivers", "compose.yml", `
services:
  byhost: {image: busybox, command: ls /sys/class/net, networks: [outer]}
  named: {image: busybox, command: ls /sys/class/net, networks: [ext]}
  bynone: {image: busybox, command: ls /sys/class/net, networks: [nothing]}
  a: {image: busybox, command: sleep 100000, stop_grace_period: 0s, networks: [wire]}
  b: {image: busybox, command: sleep 100000, stop_grace_period: 0s, networks: [wire]}
networks:
  outer: {driver: host}
  ext: {external: true, name: host}
  nothing: {driver: none}
  wire: {driver: macvlan, driver_opts: {macvlan_mode: bridge}, ipam: {config: [{subnet: 10.214.3.0/24}]}}
`)
	h.in(dir, "up", "-d").ok()
	eventually(t, "the ends of those that only list", func() error {
		if out := h.in(dir, "ps", "-a", "--status", "exited", "-q").ok().stdout; len(strings.Fields(out)) != 3 {
			return errors.New(out)
		}
		return nil
	})
	if out := h.in(dir, "logs", "--no-log-prefix", "bynone").ok().stdout; out != "lo\n" {
		t.Errorf("none: %q", out)
	}
	if entries, _ := os.ReadDir("/sys/class/net"); len(entries) > 1 {
		for _, service := range []string{"byhost", "named"} {
			if out := h.in(dir, "logs", "--no-log-prefix", service).ok().stdout; len(strings.Fields(out)) < 2 {
				t.Errorf("%s: %q, on a host with %d interfaces", service, out, len(entries))
			}
		}
	}
	h.in(dir, "exec", "-T", "a", "ping", "-c", "1", "-W", "10", "b").ok()
	h.in(dir, "exec", "-T", "a", "sh", "-c", "ip route | grep -c ^default || true").says("0")
	h.in(dir, "restart", "a").ok()
	h.in(dir, "exec", "-T", "b", "ping", "-c", "1", "-W", "10", "a").ok()
	h.docker("network", "inspect", "-f", "{{.Driver}} {{.Internal}}", "drivers_wire").says("macvlan true")
	h.in(dir, "down").ok()

	for yaml, want := range map[string]string{
		"{driver: overlay}":      "networks.n.driver: overlay networks join the hosts of a Swarm",
		"{driver: ipvlan}":       "networks.n.driver: there is no network driver ipvlan; use bridge, macvlan, host or none",
		"{ipam: {driver: dhcp}}": "networks.n.ipam.driver: there is no address management but the default one",
		"{driver: macvlan, driver_opts: {parent: nosuch0.7}}":              "there is no interface nosuch0.7 on this host to be the parent",
		"{driver_opts: {com.docker.network.bridge.enable_icc: sometimes}}": "neither true nor false",
	} {
		dir := h.project("drivers", "compose.yml", "services: {a: {image: busybox, command: \"true\", networks: [n]}}\nnetworks: {n: "+yaml+"}\n")
		h.in(dir, "up", "-d").fails(1, want)
		h.in(dir, "config", "-q").ok()
		h.in(dir, "down").ok()
	}
	dir = h.project("drivers", "compose.yml", "services: {a: {image: busybox, networks: [n, m]}}\nnetworks: {n: {driver: host}, m: {}}\n")
	h.in(dir, "up", "-d").fails(1, "networks.n: a container on network host cannot be on another one too")
	h.in(dir, "down").ok()
}
