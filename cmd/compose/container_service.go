package main

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"
)

// service says what the flags ask for in the words of a Compose service: all
// that a container can be told is there already.
func (f *containerFlags) service() (types.ServiceConfig, error) {
	s := types.ServiceConfig{Name: "container"}
	s.Image = f.image
	s.Platform = f.platform
	s.Tty, s.StdinOpen = f.tty, f.interactive
	s.User, s.WorkingDir, s.GroupAdd = f.user, f.workdir, f.groups
	s.Hostname, s.DomainName = f.hostname, f.domainname
	s.DNS, s.DNSSearch, s.DNSOpts = f.dns, f.dnsSearch, f.dnsOptions
	s.Tmpfs, s.VolumesFrom, s.ReadOnly = f.tmpfs, f.volumesFrom, f.readOnly
	s.CapAdd, s.CapDrop, s.SecurityOpt, s.Privileged = f.capAdd, f.capDrop, f.securityOpt, f.privileged
	s.Pid, s.Ipc, s.Uts, s.UserNSMode, s.Cgroup, s.CgroupParent = f.pidMode, f.ipcMode, f.utsMode, f.usernsMode, f.cgroupns, f.cgroupParent
	s.DeviceCgroupRules, s.Expose = f.deviceCgroupRules, f.expose
	s.StopSignal, s.Restart = f.stopSignal, f.restart
	if f.init {
		s.Init = &f.init
	}
	if len(f.command) > 0 {
		s.Command = f.command
	}
	if f.entrypointSet {
		s.Entrypoint = types.ShellCommand{}
		if f.entrypoint != "" {
			s.Entrypoint = types.ShellCommand{f.entrypoint}
		}
	}
	if f.stopTimeout >= 0 {
		d := types.Duration(time.Duration(f.stopTimeout) * time.Second)
		s.StopGracePeriod = &d
	}
	for _, fill := range []func(*types.ServiceConfig) error{
		f.fillEnv, f.fillLabels, f.fillNetworks, f.fillPorts, f.fillMounts, f.fillDevices, f.fillLimits, f.fillBlockIO, f.fillHealth, f.fillLog, f.fillRare,
	} {
		if err := fill(&s); err != nil {
			return s, err
		}
	}
	if f.AutoRemove && s.Restart != "" && s.Restart != "no" {
		return s, errors.New("conflicting options: cannot specify both --restart and --rm")
	}
	return s, nil
}

func (f *containerFlags) fillEnv(s *types.ServiceConfig) error {
	s.Environment = types.MappingWithEquals{}
	var env []string
	for _, name := range f.envFiles {
		lines, err := envFile(name)
		if err != nil {
			return fmt.Errorf("--env-file: %w", err)
		}
		env = append(env, lines...)
	}
	for _, kv := range append(env, f.env...) {
		k, v, ok := strings.Cut(kv, "=")
		if k == "" {
			return fmt.Errorf("invalid environment variable: %s", kv)
		}
		if !ok {
			if v, ok = os.LookupEnv(k); !ok {
				continue
			}
		}
		s.Environment[k] = &v
	}
	return nil
}

// envFile reads a file as Docker does: what follows the equals sign is the
// value as it stands.
func envFile(name string) ([]string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		if key, _, _ := strings.Cut(line, "="); key == "" || strings.ContainsAny(key, " \t") {
			return nil, fmt.Errorf("%s: variable %q contains whitespace or has no name", name, key)
		}
		out = append(out, line)
	}
	return out, nil
}

func (f *containerFlags) fillLabels(s *types.ServiceConfig) error {
	s.Labels = types.Labels{}
	for _, name := range f.labelFiles {
		file, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("--label-file: %w", err)
		}
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if line := strings.TrimSpace(lines.Text()); line != "" && line[0] != '#' {
				k, v, _ := strings.Cut(line, "=")
				s.Labels[k] = v
			}
		}
	}
	maps.Copy(s.Labels, pairs(f.labels))
	return nil
}

// pairs reads KEY=VALUE words; one without a value has the empty one.
func pairs(words []string) map[string]string {
	m := make(map[string]string, len(words))
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		m[k] = v
	}
	return m
}

func (f *containerFlags) fillPorts(s *types.ServiceConfig) error {
	for _, p := range f.publish {
		list, err := types.ParsePortConfig(p)
		if err != nil {
			return fmt.Errorf("--publish: %w", err)
		}
		s.Ports = append(s.Ports, list...)
	}
	s.Sysctls = pairs(f.sysctls)
	return nil
}

func (f *containerFlags) fillDevices(s *types.ServiceConfig) error {
	for _, d := range f.devices {
		part := strings.Split(d, ":")
		if len(part) > 3 || part[0] == "" {
			return fmt.Errorf("--device: invalid device specification: %s", d)
		}
		m := types.DeviceMapping{Source: part[0], Target: part[0], Permissions: "rwm"}
		switch {
		case len(part) == 2 && strings.Trim(part[1], "rwm") == "":
			m.Permissions = part[1]
		case len(part) >= 2:
			m.Target = part[1]
		}
		if len(part) == 3 {
			m.Permissions = part[2]
		}
		s.Devices = append(s.Devices, m)
	}
	return nil
}

func (f *containerFlags) fillLimits(s *types.ServiceConfig) error {
	for _, size := range []struct {
		flag, text string
		to         *types.UnitBytes
	}{
		{"memory", f.memory, &s.MemLimit},
		{"memory-swap", f.memorySwap, &s.MemSwapLimit},
		{"memory-reservation", f.memoryReservation, &s.MemReservation},
		{"shm-size", f.shmSize, &s.ShmSize},
	} {
		if size.text == "" {
			continue
		}
		if size.flag == "memory-swap" && size.text == "-1" {
			*size.to = -1
			continue
		}
		n, err := units.RAMInBytes(size.text)
		if err != nil || n < 0 {
			return fmt.Errorf("invalid argument %q for --%s: it must be a size, as 512m", size.text, size.flag)
		}
		*size.to = types.UnitBytes(n)
	}
	if f.cpus != "" {
		n, err := strconv.ParseFloat(f.cpus, 32)
		if err != nil || n < 0 {
			return fmt.Errorf("invalid argument %q for --cpus: failed to parse as a number", f.cpus)
		}
		s.CPUS = float32(n)
	}
	if f.swappiness >= 0 {
		s.MemSwappiness = types.UnitBytes(f.swappiness)
	}
	s.CPUShares, s.CPUPeriod, s.CPUQuota, s.CPURTPeriod, s.CPURTRuntime = f.cpuShares, f.cpuPeriod, f.cpuQuota, f.cpuRTPeriod, f.cpuRTRuntime
	s.CPUSet, s.PidsLimit, s.OomKillDisable, s.OomScoreAdj = f.cpuset, f.pidsLimit, f.oomKillDisable, f.oomScoreAdj
	f.CpusetMems = f.cpusetMems
	for _, u := range f.ulimits {
		l, err := units.ParseUlimit(u)
		if err != nil {
			return fmt.Errorf("--ulimit: %w", err)
		}
		if s.Ulimits == nil {
			s.Ulimits = map[string]*types.UlimitsConfig{}
		}
		s.Ulimits[l.Name] = &types.UlimitsConfig{Soft: int(l.Soft), Hard: int(l.Hard)}
	}
	return nil
}

func (f *containerFlags) fillHealth(s *types.ServiceConfig) error {
	given := f.healthCmd != "" || f.healthInterval+f.healthTimeout+f.healthStartPeriod+f.healthStartInterval > 0 || f.healthRetries != 0
	if f.noHealthcheck {
		if given {
			return errors.New("--no-healthcheck conflicts with --health-* options")
		}
		s.HealthCheck = &types.HealthCheckConfig{Disable: true}
		return nil
	}
	if !given {
		return nil
	}
	h := &types.HealthCheckConfig{}
	if f.healthCmd != "" {
		h.Test = types.HealthCheckTest{"CMD-SHELL", f.healthCmd}
	}
	duration := func(d time.Duration) *types.Duration {
		if d == 0 {
			return nil
		}
		t := types.Duration(d)
		return &t
	}
	h.Interval, h.Timeout = duration(f.healthInterval), duration(f.healthTimeout)
	h.StartPeriod, h.StartInterval = duration(f.healthStartPeriod), duration(f.healthStartInterval)
	if f.healthRetries > 0 {
		n := uint64(f.healthRetries)
		h.Retries = &n
	}
	s.HealthCheck = h
	return nil
}

func (f *containerFlags) fillLog(s *types.ServiceConfig) error {
	if f.logDriver != "" || len(f.logOpts) > 0 {
		s.Logging = &types.LoggingConfig{Driver: f.logDriver, Options: pairs(f.logOpts)}
	}
	return nil
}
