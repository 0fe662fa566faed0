package orchestrator

import (
	"strings"
	"testing"
)

// TestReasons changes one attribute after the other of a service and reads why
// its container is to be replaced.
func TestReasons(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"environment: {PORT: 80}", "environment: {PORT: 8080}", "environment.PORT changed 80 -> 8080"},
		{"environment: {A: x}", "environment: {B: y}", "environment.A removed x, environment.B added y"},
		{"environment: {A: x}", "environment: {A: }", "environment.A removed x"},
		{"environment: {A: ''}", "environment: {A: x y}", `environment.A changed "" -> "x y"`},
		{"command: sleep 1", "command: sleep 2", `command changed ["sleep","1"] -> ["sleep","2"]`},
		{"entrypoint: /a", "x-none: 1", `entrypoint removed ["/a"]`},
		{"image: a:1", "image: a:2", "image changed a:1 -> a:2"},
		{"ports: ['127.0.0.1:80:80']", "ports: ['127.0.0.1:81:80']", "ports[0].published changed 80 -> 81"},
		{"ports: ['80:80']", "ports: ['80:80', '90:90/udp']", "ports changed ["},
		{"volumes: ['/a:/x']", "volumes: ['/b:/x:ro']", "volumes[0].read_only added true, volumes[0].source changed /a -> /b"},
		{"labels: [k=1]", "labels: [k=2]", "labels.k changed 1 -> 2"},
		{"mem_limit: 1g", "mem_limit: 2g", "mem_limit changed 1073741824 -> 2147483648"},
		{"cpus: 0.5", "cpus: 1.5", "cpus changed 0.5 -> 1.5"},
		{"deploy: {resources: {limits: {memory: 1m}}}", "deploy: {resources: {limits: {memory: 2m}}}", "deploy.resources.limits.memory changed 1048576 -> 2097152"},
		{"healthcheck: {test: [CMD, a], interval: 1s}", "healthcheck: {test: [CMD, a], interval: 2s}", "healthcheck.interval changed 1s -> 2s"},
		{"user: a", "user: b", "user changed a -> b"},
		{"cap_add: [NET_ADMIN]", "cap_drop: [ALL]", `cap_add removed ["NET_ADMIN"], cap_drop added ["ALL"]`},
		{"read_only: true", "read_only: false", "read_only removed true"},
		{"restart: always", "restart: 'no'", "restart changed always -> no"},
		{"ulimits: {nofile: 10}", "ulimits: {nofile: 20}", "ulimits.nofile changed 10 -> 20"},
		{"stop_grace_period: 1s", "stop_grace_period: 2s", "stop_grace_period changed 1s -> 2s"},
		{"logging: {driver: json-file}", "logging: {driver: none}", "logging.driver changed json-file -> none"},
		{"extra_hosts: ['a=10.0.0.1']", "extra_hosts: ['a=10.0.0.2']", `extra_hosts changed ["a=10.0.0.1"] -> ["a=10.0.0.2"]`},
		{"networks: {default: {aliases: [x]}}", "networks: {default: {aliases: [y]}}", `networks.default.aliases changed ["x"] -> ["y"]`},
		{"network_mode: none", "network_mode: host", "network_mode changed none -> host"},
		{"sysctls: {net.core.somaxconn: 1}", "sysctls: {net.core.somaxconn: 2}", "sysctls.net.core.somaxconn changed 1 -> 2"},
		{"tmpfs: /a", "tmpfs: /b", "tmpfs changed"},
		{"environment: {A: 1, B: 1, C: 1, D: 1, E: 1, F: 1}", "environment: {A: 2, B: 2, C: 2, D: 2, E: 2, F: 2}", "environment.D changed 1 -> 2, and 2 more"},
		{"environment: {A: " + strings.Repeat("x", 90) + "}", "environment: {A: y}", "environment.A changed " + strings.Repeat("x", 60) + "... -> y"},
	} {
		r := newRig(t)
		file := func(attribute string) string { return "services:\n  web:\n    image: a\n    " + attribute + "\n" }
		if strings.HasPrefix(c.before, "image") {
			file = func(attribute string) string { return "services:\n  web:\n    " + attribute + "\n" }
		}
		r.up(load(t, file(c.before)), UpOptions{})
		plan := r.plan(load(t, file(c.after)), UpOptions{})
		line := ""
		for l := range strings.Lines(plan) {
			if strings.Contains(l, "recreate web: ") {
				line = l
			}
		}
		if !strings.Contains(line, c.want) || !strings.HasSuffix(strings.TrimSpace(line), "(container shop-web-1)") && !strings.Contains(line, ") after") {
			t.Errorf("%s, then %s: %q, want %q\n%s", c.before, c.after, line, c.want, plan)
		}
	}
}

// TestNetworkReasons reads why a network is to be made anew.
func TestNetworkReasons(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"{}", "{internal: true}", "internal changed false -> true"},
		{"{}", "{driver_opts: {com.docker.network.driver.mtu: 1400}}", "driver_opts.com.docker.network.driver.mtu added 1400"},
		{"{}", "{ipam: {config: [{subnet: 10.9.0.0/24}]}}", `ipam.config added [{"subnet":"10.9.0.0/24"}]`},
		{"{ipam: {config: [{subnet: 10.8.0.0/24}]}}", "{ipam: {config: [{subnet: 10.9.0.0/24, gateway: 10.9.0.3}]}}", "ipam.config[0].gateway added 10.9.0.3"},
		{"{ipam: {config: [{subnet: 10.8.0.0/24}]}}", "{ipam: {config: [{subnet: 10.9.0.0/24}]}}", "ipam.config[0].subnet changed 10.8.0.0/24 -> 10.9.0.0/24"},
		{"{}", "{ipam: {driver: other}}", "its configuration changed"},
	} {
		file := func(n string) string { return "services: {web: {image: a}}\nnetworks: {default: " + n + "}\n" }
		r := newRig(t)
		r.up(load(t, file(c.before)), UpOptions{})
		plan := r.plan(load(t, file(c.after)), UpOptions{})
		if !strings.Contains(plan, "create network shop_default ("+c.want+")") && !strings.Contains(plan, c.want+", ") {
			t.Errorf("%s, then %s: want %q\n%s", c.before, c.after, c.want, plan)
		}
	}
}
