package orchestrator

import (
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"compose/engine"
	"compose/internal/roots"
	"compose/netbridge"
)

func convert(t *testing.T, yaml string, o convertOptions) (engine.ContainerSpec, error) {
	t.Helper()
	p := load(t, yaml)
	o.Name, o.Number = "shop-a-1", 1
	if o.File == nil {
		o.File = func(f projectFile) (string, error) { return "/files/" + f.Name + "=" + f.Content, nil }
	}
	return containerSpec(p, p.Services["a"], o)
}

// TestConvert changes one field of a service at a time and looks at the one
// field of the container that it must become.
func TestConvert(t *testing.T) {
	sec := func(n int) *time.Duration { d := time.Duration(n) * time.Second; return &d }
	swappiness := int64(10)
	for _, c := range []struct {
		yaml string // of the service, beside its image
		got  func(engine.ContainerSpec) any
		want any
	}{
		{"command: echo 'a b'", func(s engine.ContainerSpec) any { return s.Command }, []string{"echo", "a b"}},
		{"attach: true", func(s engine.ContainerSpec) any { return s.Command }, []string(nil)},
		{"command: []", func(s engine.ContainerSpec) any { return s.Command }, []string{}},
		{"entrypoint: [/x, y]", func(s engine.ContainerSpec) any { return s.Entrypoint }, []string{"/x", "y"}},
		{"environment: {B: 2, A: 'x y', TOKEN: , NOWHERE: }", func(s engine.ContainerSpec) any { return s.Env }, []string{"A=x y", "B=2", "NOWHERE", "TOKEN=s3cret"}},
		{"user: '1000:50'", func(s engine.ContainerSpec) any { return s.User }, "1000:50"},
		{"group_add: [staff, '7']", func(s engine.ContainerSpec) any { return s.GroupAdd }, []string{"staff", "7"}},
		{"working_dir: /srv", func(s engine.ContainerSpec) any { return s.WorkingDir }, "/srv"},
		{"tty: true", func(s engine.ContainerSpec) any { return s.TTY }, true},
		{"stdin_open: true", func(s engine.ContainerSpec) any { return s.OpenStdin }, true},
		{"init: true", func(s engine.ContainerSpec) any { return s.Init }, true},
		{"restart: on-failure:3", func(s engine.ContainerSpec) any { return s.Restart }, engine.RestartPolicy{Name: "on-failure", MaxRetries: 3}},
		{"restart: 'no'", func(s engine.ContainerSpec) any { return s.Restart }, engine.RestartPolicy{Name: "no"}},
		{"deploy: {restart_policy: {condition: any, max_attempts: 2}}", func(s engine.ContainerSpec) any { return s.Restart }, engine.RestartPolicy{Name: "always", MaxRetries: 2}},
		{"stop_signal: SIGQUIT", func(s engine.ContainerSpec) any { return s.StopSignal }, "SIGQUIT"},
		{"stop_grace_period: 1m5s", func(s engine.ContainerSpec) any { return s.StopTimeout }, sec(65)},
		{"healthcheck: {test: 'true', interval: 1s, timeout: 2s, start_period: 3s, start_interval: 4s, retries: 5}", func(s engine.ContainerSpec) any { return s.Health }, &engine.Healthcheck{Test: []string{"CMD-SHELL", "true"}, Interval: time.Second, Timeout: 2 * time.Second, StartPeriod: 3 * time.Second, StartInterval: 4 * time.Second, Retries: 5}},
		{"healthcheck: {disable: true}", func(s engine.ContainerSpec) any { return s.Health }, &engine.Healthcheck{Test: []string{"NONE"}}},
		{"hostname: h", func(s engine.ContainerSpec) any { return s.Hostname }, "h"},
		{"domainname: d.example", func(s engine.ContainerSpec) any { return s.Domainname }, "d.example"},
		{"read_only: true", func(s engine.ContainerSpec) any { return s.ReadOnly }, true},
		{"shm_size: 1mb", func(s engine.ContainerSpec) any { return s.ShmSize }, int64(1 << 20)},
		{"sysctls: [net.core.somaxconn=5]", func(s engine.ContainerSpec) any { return s.Sysctls }, map[string]string{"net.core.somaxconn": "5"}},
		{"devices: ['/dev/null:/dev/nil:r', /dev/zero]", func(s engine.ContainerSpec) any { return s.Devices }, []engine.Device{{Source: "/dev/null", Target: "/dev/nil", Permissions: "r"}, {Source: "/dev/zero", Target: "/dev/zero", Permissions: "rwm"}}},
		{"dns: 1.1.1.1", func(s engine.ContainerSpec) any { return s.DNS }, []string{"1.1.1.1"}},
		{"dns_search: [a.example]", func(s engine.ContainerSpec) any { return s.DNSSearch }, []string{"a.example"}},
		{"dns_opt: [ndots:2]", func(s engine.ContainerSpec) any { return s.DNSOptions }, []string{"ndots:2"}},
		{"extra_hosts: ['x=1.2.3.4', 'gw:host-gateway', 'six=[::1]']", func(s engine.ContainerSpec) any { return s.ExtraHosts }, []string{"gw:host-gateway", "six:::1", "x:1.2.3.4"}},
		{"cap_add: [NET_ADMIN]", func(s engine.ContainerSpec) any { return s.CapAdd }, []string{"NET_ADMIN"}},
		{"cap_drop: [ALL]", func(s engine.ContainerSpec) any { return s.CapDrop }, []string{"ALL"}},
		{"privileged: true", func(s engine.ContainerSpec) any { return s.Privileged }, true},
		{"security_opt: ['no-new-privileges:true', 'seccomp:./p.json', 'seccomp=unconfined', no-new-privileges]", func(s engine.ContainerSpec) any { return s.SecurityOpt }, []string{"no-new-privileges=true", "seccomp=/src/p.json", "seccomp=unconfined", "no-new-privileges"}},
		{"device_cgroup_rules: ['c 1:3 r']", func(s engine.ContainerSpec) any { return s.DeviceCgroupRules }, []string{"c 1:3 r"}},
		{"ulimits: {nofile: {soft: 10, hard: 20}, core: 0, nproc: 5}", func(s engine.ContainerSpec) any { return s.Ulimits }, []engine.Ulimit{{Name: "core"}, {Name: "nofile", Soft: 10, Hard: 20}, {Name: "nproc", Soft: 5, Hard: 5}}},
		{"cgroup_parent: x.slice", func(s engine.ContainerSpec) any { return s.CgroupParent }, "x.slice"},
		{"cgroup: host", func(s engine.ContainerSpec) any { return s.CgroupMode }, "host"},
		{"uts: host", func(s engine.ContainerSpec) any { return s.UTSMode }, "host"},
		{"ipc: host", func(s engine.ContainerSpec) any { return s.IPCMode }, "host"},
		{"pid: host", func(s engine.ContainerSpec) any { return s.PIDMode }, "host"},
		{"userns_mode: host", func(s engine.ContainerSpec) any { return s.UsernsMode }, "host"},
		{"logging: {driver: json-file, options: {max-size: 1k}}", func(s engine.ContainerSpec) any { return s.Log }, engine.LogConfig{Driver: "json-file", Options: map[string]string{"max-size": "1k"}}},
		{"{mem_limit: 1g, memswap_limit: 2g, mem_reservation: 1m, mem_swappiness: 10, cpus: 1.5, cpu_shares: 7, cpuset: '0', pids_limit: 9, oom_score_adj: -5, blkio_config: {weight: 300}}", func(s engine.ContainerSpec) any { return s.Resources }, engine.Resources{Memory: 1 << 30, MemorySwap: 2 << 30, MemoryReservation: 1 << 20, MemorySwappiness: &swappiness, NanoCPUs: 1.5e9, CPUShares: 7, CpusetCpus: "0", PidsLimit: 9, OOMScoreAdj: -5, BlkioWeight: 300}},
		{"deploy: {resources: {limits: {cpus: '0.5', memory: 64m, pids: 4}, reservations: {memory: 32m}}}", func(s engine.ContainerSpec) any { return s.Resources }, engine.Resources{NanoCPUs: 5e8, Memory: 64 << 20, MemoryReservation: 32 << 20, PidsLimit: 4}},
		{"ports: ['80', '127.0.0.1:81:80/udp', '90-91:90-91', '8000-8005:80', '[::1]:7:7']", func(s engine.ContainerSpec) any { return s.Ports }, []netbridge.PortMapping{
			{ContainerPort: 80, Protocol: "tcp"},
			{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: 81, ContainerPort: 80, Protocol: "udp"},
			{HostPort: 90, ContainerPort: 90, Protocol: "tcp"},
			{HostPort: 91, ContainerPort: 91, Protocol: "tcp"},
			{HostPort: 8000, HostPortEnd: 8005, ContainerPort: 80, Protocol: "tcp"},
			{HostIP: netip.MustParseAddr("::1"), HostPort: 7, ContainerPort: 7, Protocol: "tcp"},
		}},
		{"ports: [{target: 80, published: '8080', host_ip: 127.0.0.1, protocol: tcp, mode: host}]", func(s engine.ContainerSpec) any { return s.Ports }, []netbridge.PortMapping{{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}},
		{"{expose: ['3000-3002', '53/udp'], ports: ['80']}", func(s engine.ContainerSpec) any { return s.Expose }, []string{"3000/tcp", "3001/tcp", "3002/tcp", "53/udp", "80/tcp"}},
		{"network_mode: none", func(s engine.ContainerSpec) any { return s.NetworkMode }, "none"},
		{"network_mode: host", func(s engine.ContainerSpec) any { return s.NetworkMode }, "host"},
		{"attach: true", func(s engine.ContainerSpec) any { return s.Networks }, []netbridge.EndpointConfig{{Network: "shop_default", Aliases: []string{"a"}}}},
		{"networks: {back: {priority: 1, aliases: [x, y], ipv4_address: 10.9.0.7, mac_address: '02:00:00:00:00:01', gw_priority: 4}, default: }", func(s engine.ContainerSpec) any { return s.Networks }, []netbridge.EndpointConfig{
			{Network: "other", Aliases: []string{"a", "x", "y"}, IPv4: netip.MustParseAddr("10.9.0.7"), MAC: "02:00:00:00:00:01", Priority: 4},
			{Network: "shop_default", Aliases: []string{"a"}},
		}},
		{"volumes: ['data:/data:ro', './here:/there', /anon, {type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0o700}}, {type: bind, source: /a, target: /b, bind: {create_host_path: false, propagation: rshared}}, {type: volume, source: data, target: /d2, volume: {nocopy: true, subpath: s}}]", func(s engine.ContainerSpec) any { return s.Mounts }, []engine.Mount{
			{Type: "volume", Source: "shop_data", Target: "/data", ReadOnly: true},
			{Type: "bind", Source: "/src/here", Target: "/there", CreateHost: true},
			{Type: "volume", Target: "/anon"},
			{Type: "tmpfs", Target: "/t", TmpfsSize: 1 << 20, TmpfsMode: 0o700},
			{Type: "bind", Source: "/a", Target: "/b", Propagation: "rshared"},
			{Type: "volume", Source: "shop_data", Target: "/d2", NoCopy: true, Subpath: "s"},
		}},
		{"tmpfs: ['/run:size=1m,mode=700', /tmp]", func(s engine.ContainerSpec) any { return s.Mounts }, []engine.Mount{{Type: "tmpfs", Target: "/run", TmpfsOpts: "size=1m,mode=700"}, {Type: "tmpfs", Target: "/tmp"}}},
		{"{configs: [plain, {source: plain, target: /etc/x}], secrets: [token]}", func(s engine.ContainerSpec) any { return s.Mounts }, []engine.Mount{
			{Type: "bind", Source: "/files/plain=hello", Target: "/plain", ReadOnly: true, Own: true},
			{Type: "bind", Source: "/files/plain=hello", Target: "/etc/x", ReadOnly: true, Own: true},
			{Type: "bind", Source: "/files/token=s3cret", Target: "/run/secrets/token", ReadOnly: true, Own: true},
		}},
	} {
		t.Run(c.yaml, func(t *testing.T) {
			body := strings.Trim(c.yaml, "\n")
			if strings.HasPrefix(body, "{") {
				body = "<<: " + body
			}
			spec, err := convert(t, "services:\n  a:\n    image: i\n    "+body+"\nvolumes: {data: }\nnetworks: {back: {name: other}}\nconfigs: {plain: {content: hello}}\nsecrets: {token: {environment: TOKEN}}\n", convertOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := c.got(spec); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %#v\nwant %#v", got, c.want)
			}
		})
	}
}

func TestConvertErrors(t *testing.T) {
	for yaml, want := range map[string]string{
		"restart: sometimes":                     "not a restart policy",
		"ports: [{target: 80, protocol: sctp}]":  "use tcp or udp",
		"secrets: [unset]":                       `environment variable "UNSET" required by secret "unset" is not set`,
		"networks: {default: {ipv4_address: x}}": "is not an IPv4 address",
		"pid: service:b":                         "container missing",
	} {
		_, err := convert(t, "services:\n  b: {image: i}\n  a:\n    image: i\n    "+yaml+"\nsecrets: {unset: {environment: UNSET}}\n", convertOptions{
			Peer: func(ref string) (*engine.Container, error) {
				return newOperator(newFakeHost(), roots.Roots{}, "shop", nil, &Observed{}).peer(t.Context(), ref)
			},
		})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"a"`) {
			t.Errorf("%s: got %v, want it to say %q", yaml, err, want)
		}
	}
}

func TestSharing(t *testing.T) {
	peer := &engine.Container{ID: "id-of-b", Spec: engine.ContainerSpec{Mounts: []engine.Mount{{Type: "volume", Source: "v", Target: "/v"}, {Type: "tmpfs", Target: "/t"}}}}
	spec, err := convert(t, "services: {b: {image: i}, a: {image: i, network_mode: 'service:b', pid: 'container:x', ipc: 'service:b', volumes_from: ['b:ro']}}", convertOptions{
		Peer: func(string) (*engine.Container, error) { return peer, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if spec.NetworkMode != "container:id-of-b" || spec.PIDMode != "container:id-of-b" || spec.IPCMode != "container:id-of-b" || spec.Networks != nil {
		t.Errorf("got %+v", spec)
	}
	if want := []engine.Mount{{Type: "volume", Source: "v", Target: "/v", ReadOnly: true}}; !slices.EqualFunc(spec.Mounts, want, func(a, b engine.Mount) bool { return reflect.DeepEqual(a, b) }) {
		t.Errorf("mounts %+v", spec.Mounts)
	}
}

func TestLabels(t *testing.T) {
	spec, err := convert(t, "services: {b: {image: i}, a: {image: i, labels: {mine: x}, depends_on: {b: {condition: service_healthy, restart: true}}}}", convertOptions{ConfigHash: "h", ImageID: "sha256:i"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"mine": "x", LabelProject: "shop", LabelService: "a", LabelNumber: "1", LabelOneOff: "False", LabelVersion: Version,
		LabelConfigHash: "h", LabelImage: "sha256:i", LabelConfigFiles: "/src/compose.yaml", LabelWorkingDir: "/src",
		LabelDependsOn: "b:service_healthy:true",
	}
	if !reflect.DeepEqual(spec.Labels, want) {
		t.Errorf("got %v", spec.Labels)
	}
}

func TestNetworkConfig(t *testing.T) {
	p := load(t, "services: {a: {image: i, networks: [n]}}\nnetworks: {n: {internal: true, driver_opts: {x: y}, labels: {l: m}, ipam: {config: [{subnet: 10.9.0.0/24, gateway: 10.9.0.254, ip_range: 10.9.0.128/25, aux_addresses: {r: 10.9.0.5}}]}}}")
	got, err := networkConfig(p, "n", p.Networks["n"])
	if err != nil {
		t.Fatal(err)
	}
	s := got.Subnets[0]
	if got.Name != "shop_n" || !got.Internal || got.Options["x"] != "y" || got.Labels["l"] != "m" || got.Labels[LabelNetwork] != "n" ||
		s.Prefix.String() != "10.9.0.0/24" || s.Gateway.String() != "10.9.0.254" || s.Range.String() != "10.9.0.128/25" || s.Aux["r"].String() != "10.9.0.5" {
		t.Errorf("got %+v", got)
	}
}

func TestWriteFile(t *testing.T) {
	r := roots.Roots{State: t.TempDir()}
	f := projectFile{Kind: "secret", Name: "s", Content: "x", UID: 5, GID: 6, Mode: 0o440}
	one, err := writeFile(r, "shop", f)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := writeFile(r, "shop", f); again != one || err != nil {
		t.Errorf("written again: %s, %v", again, err)
	}
	f.Content = "y"
	other, err := writeFile(r, "shop", f)
	if err != nil || other == one {
		t.Errorf("a changed secret has the same file: %s, %v", other, err)
	}
	info, err := os.Stat(one)
	if err != nil || info.Mode() != 0o440 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if data, _ := os.ReadFile(one); string(data) != "x" {
		t.Errorf("content %q", data)
	}
}
