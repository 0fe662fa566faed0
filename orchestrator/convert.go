package orchestrator

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
)

// convertOptions is what a container needs to know beside its service.
type convertOptions struct {
	Name       string // the container's
	Number     int    // 0: a one-off container, which has none
	ConfigHash string
	ImageID    string
	OneOff     bool
	Slug       string // one-off containers
	NoAliases  bool   // one-off containers answer to the service's name only when asked to
	AutoRemove bool
	Standalone bool // it belongs to no project of Compose

	// Inherit are the mounts of the container that this one replaces: its
	// anonymous volumes are taken over.
	Inherit []engine.Mount

	// Peer finds the container that "service:x" or "container:y" stands for.
	Peer func(ref string) (*engine.Container, error)

	// File makes the content of a secret or config available as a host file
	// and returns its path.
	File func(f projectFile) (string, error)
}

// containerSpec turns a service into what the engine is asked for. It is the
// one place where Compose's words become the engine's.
func containerSpec(p *types.Project, s types.ServiceConfig, o convertOptions) (engine.ContainerSpec, error) {
	restart, err := restartPolicy(s)
	if err != nil {
		return engine.ContainerSpec{}, fmt.Errorf("service %q: %w", s.Name, err)
	}
	spec := engine.ContainerSpec{
		Name:    o.Name,
		Project: p.Name,
		Image:   imageName(p, s),
		Labels:  containerLabels(p, s, o),

		Annotations: s.Annotations,

		Entrypoint: []string(s.Entrypoint),
		Command:    []string(s.Command),
		Env:        environment(s.Environment),
		User:       s.User,
		GroupAdd:   s.GroupAdd,
		WorkingDir: s.WorkingDir,
		Umask:      s.Umask,
		Runtime:    s.Runtime,
		TTY:        s.Tty,
		OpenStdin:  s.StdinOpen,
		Init:       s.Init != nil && *s.Init,

		Restart:     restart,
		StopSignal:  s.StopSignal,
		StopTimeout: durationPtr(s.StopGracePeriod),
		Health:      healthcheck(s.HealthCheck),
		AutoRemove:  o.AutoRemove,

		Hostname:   s.Hostname,
		Domainname: s.DomainName,
		ReadOnly:   s.ReadOnly,
		ShmSize:    int64(s.ShmSize),
		Sysctls:    s.Sysctls,
		Devices:    devices(s),

		DNS:        s.DNS,
		DNSSearch:  s.DNSSearch,
		DNSOptions: s.DNSOpts,
		ExtraHosts: extraHosts(s.ExtraHosts),

		CgroupMode: s.Cgroup,
		UsernsMode: s.UserNSMode,
		UTSMode:    s.Uts,

		CapAdd:            s.CapAdd,
		CapDrop:           s.CapDrop,
		Privileged:        s.Privileged,
		SecurityOpt:       securityOptions(p, s.SecurityOpt),
		DeviceCgroupRules: s.DeviceCgroupRules,
		Ulimits:           ulimits(s.Ulimits),
		CgroupParent:      s.CgroupParent,
		Resources:         resources(s),

		Log: logConfig(s),
	}
	if !o.OneOff && !o.Standalone {
		spec.Origin = origin(s)
	}
	if spec.Ports, spec.Expose, err = ports(s); err != nil {
		return spec, fmt.Errorf("service %q: %w", s.Name, err)
	}
	if err := namespaces(&spec, s, o.Peer); err != nil {
		return spec, fmt.Errorf("service %q: %w", s.Name, err)
	}
	if err := networks(&spec, p, s, o); err != nil {
		return spec, fmt.Errorf("service %q: %w", s.Name, err)
	}
	if spec.Mounts, err = mounts(p, s, o); err != nil {
		return spec, fmt.Errorf("service %q: %w", s.Name, err)
	}
	return spec, nil
}

// ImageName is the image that a service runs.
func ImageName(p *types.Project, s types.ServiceConfig) string { return imageName(p, s) }

// imageName is the image a service runs: the one it names, or the one that
// its build makes.
func imageName(p *types.Project, s types.ServiceConfig) string {
	if s.Image != "" {
		return s.Image
	}
	return p.Name + separator(p) + s.Name
}

// containerName is the name of a service's n-th container.
func containerName(p *types.Project, s types.ServiceConfig, n int) string {
	if s.ContainerName != "" {
		return s.ContainerName
	}
	return strings.Join([]string{p.Name, s.Name, strconv.Itoa(n)}, separator(p))
}

// separator is what is between the parts of a name: with --compatibility and
// COMPOSE_COMPATIBILITY that of Docker Compose 1.
func separator(p *types.Project) string {
	if old, _ := strconv.ParseBool(p.Environment["COMPOSE_COMPATIBILITY"]); old {
		return "_"
	}
	return "-"
}

// containerLabels are the user's labels and ours, ours winning.
func containerLabels(p *types.Project, s types.ServiceConfig, o convertOptions) map[string]string {
	l := make(map[string]string, len(s.Labels)+len(s.CustomLabels)+12)
	maps.Copy(l, s.Labels)
	maps.Copy(l, s.CustomLabels)
	if o.Standalone {
		return l
	}
	l[LabelProject] = p.Name
	l[LabelService] = s.Name
	l[LabelVersion] = Version
	l[LabelWorkingDir] = p.WorkingDir
	l[LabelConfigFiles] = strings.Join(p.ComposeFiles, ",")
	l[LabelConfigHash] = o.ConfigHash
	l[LabelImage] = o.ImageID
	l[LabelOneOff] = "False"
	if o.OneOff {
		l[LabelOneOff] = "True"
		l[LabelSlug] = o.Slug
	}
	if o.Number > 0 {
		l[LabelNumber] = strconv.Itoa(o.Number)
	}
	var deps []string
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		d := s.DependsOn[name]
		deps = append(deps, fmt.Sprintf("%s:%s:%t", name, d.Condition, d.Restart))
	}
	l[LabelDependsOn] = strings.Join(deps, ",")
	return l
}

// environment is sorted so that equal services give equal containers.
func environment(env types.MappingWithEquals) []string {
	if len(env) == 0 {
		return nil
	}
	out := make([]string, 0, len(env))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		if v := env[k]; v != nil {
			out = append(out, k+"="+*v)
		} else {
			out = append(out, k) // named without a value anywhere: not even the image's
		}
	}
	return out
}

// restartPolicy reads `restart`, over which deploy.restart_policy wins.
func restartPolicy(s types.ServiceConfig) (engine.RestartPolicy, error) {
	name, count, hasCount := strings.Cut(s.Restart, ":")
	policy := engine.RestartPolicy{Name: name}
	if hasCount {
		n, err := strconv.Atoi(count)
		if err != nil || n < 0 {
			return policy, fmt.Errorf("restart: %q: the number of retries must be a whole number, as in on-failure:3", s.Restart)
		}
		policy.MaxRetries = n
	}
	if s.Deploy != nil && s.Deploy.RestartPolicy != nil {
		rp := s.Deploy.RestartPolicy
		policy = engine.RestartPolicy{Name: rp.Condition}
		if rp.MaxAttempts != nil {
			policy.MaxRetries = int(*rp.MaxAttempts)
		}
	}
	switch policy.Name {
	case "any":
		policy.Name = "always"
	case "none":
		policy.Name = "no"
	case "", "no", "always", "on-failure", "unless-stopped":
	default:
		return policy, fmt.Errorf("restart: %q is not a restart policy; use no, always, on-failure[:N] or unless-stopped", policy.Name)
	}
	return policy, nil
}

func healthcheck(h *types.HealthCheckConfig) *engine.Healthcheck {
	if h == nil {
		return nil
	}
	if h.Disable {
		return &engine.Healthcheck{Test: []string{"NONE"}}
	}
	out := &engine.Healthcheck{
		Test:          h.Test,
		Interval:      duration(h.Interval),
		Timeout:       duration(h.Timeout),
		StartPeriod:   duration(h.StartPeriod),
		StartInterval: duration(h.StartInterval),
	}
	if h.Retries != nil {
		out.Retries = int(*h.Retries)
	}
	return out
}

func duration(d *types.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

func durationPtr(d *types.Duration) *time.Duration {
	if d == nil {
		return nil
	}
	t := time.Duration(*d)
	return &t
}

func extraHosts(h types.HostsList) []string {
	if len(h) == 0 {
		return nil
	}
	list := h.AsList(":")
	slices.Sort(list)
	return list
}

func logConfig(s types.ServiceConfig) engine.LogConfig {
	if s.Logging == nil {
		return engine.LogConfig{}
	}
	return engine.LogConfig{Driver: s.Logging.Driver, Options: s.Logging.Options}
}
