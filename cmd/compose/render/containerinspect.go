package render

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"compose/engine"
	"compose/orchestrator"
	"compose/volumes"
)

// ContainerInfo is a container as `docker inspect` describes it.
type ContainerInfo struct {
	ID              string `json:"Id"`
	Created         string
	Path            string
	Args            []string
	State           containerState
	Image           string
	ResolvConfPath  string
	HostnamePath    string
	HostsPath       string
	LogPath         string
	Name            string
	RestartCount    int
	Driver          string
	Platform        string
	MountLabel      string
	ProcessLabel    string
	AppArmorProfile string
	ExecIDs         []string
	HostConfig      hostConfig
	SizeRw          *int64 `json:",omitempty"`
	SizeRootFs      *int64 `json:",omitempty"`
	Mounts          []mountPoint
	Config          containerConfig
	NetworkSettings networkSettings
}

type containerState struct {
	Status     engine.Status
	Running    bool
	Paused     bool
	Restarting bool
	OOMKilled  bool
	Dead       bool
	Pid        int
	ExitCode   int
	Error      string
	StartedAt  string
	FinishedAt string
	Health     *healthState `json:",omitempty"`
}

type healthState struct {
	Status        string
	FailingStreak int
	Log           []healthLog
}

type healthLog struct {
	Start, End time.Time
	ExitCode   int
	Output     string
}

type healthcheck struct {
	Test          []string      `json:",omitempty"`
	Interval      time.Duration `json:",omitempty"`
	Timeout       time.Duration `json:",omitempty"`
	StartPeriod   time.Duration `json:",omitempty"`
	StartInterval time.Duration `json:",omitempty"`
	Retries       int           `json:",omitempty"`
}

type hostConfig struct {
	Binds             []string
	LogConfig         logConfig
	NetworkMode       string
	PortBindings      map[string][]portBinding
	RestartPolicy     restartPolicy
	AutoRemove        bool
	Annotations       map[string]string `json:",omitempty"`
	CapAdd, CapDrop   []string
	CgroupnsMode      string
	DNS               []string `json:"Dns"`
	DNSOptions        []string `json:"DnsOptions"`
	DNSSearch         []string `json:"DnsSearch"`
	ExtraHosts        []string
	GroupAdd          []string
	IpcMode, PidMode  string
	UTSMode           string
	UsernsMode        string
	Privileged        bool
	PublishAllPorts   bool
	ReadonlyRootfs    bool
	SecurityOpt       []string
	ShmSize           int64
	Sysctls           map[string]string `json:",omitempty"`
	Init              *bool             `json:",omitempty"`
	Memory            int64
	MemoryReservation int64
	MemorySwap        int64
	NanoCpus          int64
	CPUShares         int64 `json:"CpuShares"`
	CPUPeriod         int64 `json:"CpuPeriod"`
	CPUQuota          int64 `json:"CpuQuota"`
	CpusetCpus        string
	PidsLimit         *int64
	OomScoreAdj       int
	Ulimits           []ulimit
	CgroupParent      string
}

type logConfig struct {
	Type   string
	Config map[string]string
}

type restartPolicy struct {
	Name              string
	MaximumRetryCount int
}

type ulimit struct {
	Name       string
	Hard, Soft int64
}

type portBinding struct{ HostIp, HostPort string }

type mountPoint struct {
	Type        string
	Name        string `json:",omitempty"`
	Source      string
	Destination string
	Driver      string `json:",omitempty"`
	Mode        string
	RW          bool
	Propagation string
}

type containerConfig struct {
	Hostname     string
	Domainname   string
	User         string
	AttachStdin  bool
	Tty          bool
	OpenStdin    bool
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Env          []string
	Cmd          []string
	Healthcheck  *healthcheck `json:",omitempty"`
	Image        string
	Volumes      map[string]struct{}
	WorkingDir   string
	Entrypoint   []string
	Labels       map[string]string
	StopSignal   string `json:",omitempty"`
	StopTimeout  *int   `json:",omitempty"`
}

type networkSettings struct {
	Ports       map[string][]portBinding
	IPAddress   string
	IPPrefixLen int
	Gateway     string
	MacAddress  string
	Networks    map[string]endpointInfo
}

type endpointInfo struct {
	Links               []string
	Aliases             []string
	MacAddress          string
	DriverOpts          map[string]string
	GwPriority          int
	NetworkID           string
	EndpointID          string
	Gateway             string
	IPAddress           string
	IPPrefixLen         int
	IPv6Gateway         string
	GlobalIPv6Address   string
	GlobalIPv6PrefixLen int
	DNSNames            []string
}

// NewContainerInfo describes a container. dir is where its files are kept.
func NewContainerInfo(c *orchestrator.Container, dir, logPath string, store *volumes.Store) *ContainerInfo {
	s := &c.Spec
	argv := slices.Concat(s.Entrypoint, s.Command)
	info := &ContainerInfo{
		AppArmorProfile: engine.AppArmorProfile(&c.Spec),
		ID:              c.ID, Created: c.Created.UTC().Format(time.RFC3339Nano), Args: []string{},
		State: stateInfo(c), Image: c.ImageID,
		ResolvConfPath: filepath.Join(dir, "resolv.conf"), HostnamePath: filepath.Join(dir, "hostname"), HostsPath: filepath.Join(dir, "hosts"),
		LogPath: logPath, Name: "/" + s.Name, RestartCount: c.State.RestartCount, Driver: "overlay2", Platform: "linux",
		HostConfig: hostInfo(s), Mounts: []mountPoint{}, NetworkSettings: networkInfo(c),
		Config: containerConfig{
			Hostname: s.Hostname, Domainname: s.Domainname, User: s.User, AttachStdin: s.OpenStdin, Tty: s.TTY, OpenStdin: s.OpenStdin,
			Env: s.Env, Cmd: s.Command, Healthcheck: (*healthcheck)(s.Health), Image: s.Image, WorkingDir: s.WorkingDir, Entrypoint: s.Entrypoint,
			Labels: s.Labels, StopSignal: s.StopSignal,
		},
	}
	if info.Config.Hostname == "" {
		info.Config.Hostname = c.ID[:12]
	}
	if len(argv) > 0 {
		info.Path, info.Args = argv[0], argv[1:]
	}
	if s.StopTimeout != nil {
		n := int(s.StopTimeout.Seconds())
		info.Config.StopTimeout = &n
	}
	for _, e := range s.Expose {
		if info.Config.ExposedPorts == nil {
			info.Config.ExposedPorts = map[string]struct{}{}
		}
		info.Config.ExposedPorts[e] = struct{}{}
	}
	for _, m := range s.Mounts {
		p := mountPoint{Type: m.Type, Source: m.Source, Destination: m.Target, RW: !m.ReadOnly, Propagation: m.Propagation}
		switch m.Type {
		case "volume":
			p.Name, p.Source, p.Driver, p.Mode = m.Source, store.Path(m.Source), "local", "z"
		case "bind":
			info.HostConfig.Binds = append(info.HostConfig.Binds, m.Source+":"+m.Target+map[bool]string{true: ":ro", false: ":rw"}[m.ReadOnly])
			if p.Propagation == "" {
				p.Propagation = "rprivate"
			}
		}
		info.Mounts = append(info.Mounts, p)
	}
	return info
}

func stateInfo(c *orchestrator.Container) containerState {
	st := c.State
	var health *healthState
	if st.Health != nil {
		health = &healthState{Status: st.Health.Status, FailingStreak: st.Health.FailingStreak, Log: []healthLog{}}
		for _, l := range st.Health.Log {
			health.Log = append(health.Log, healthLog(l))
		}
	}
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	return containerState{
		Status: st.Status, Running: c.Running(), Paused: st.Status == engine.Paused, Restarting: st.Status == engine.Restarting,
		OOMKilled: st.OOMKilled, Dead: st.Status == engine.Dead, Pid: st.PID, ExitCode: st.ExitCode, Error: st.Error,
		StartedAt: at(st.StartedAt), FinishedAt: at(st.FinishedAt), Health: health,
	}
}

func hostInfo(s *engine.ContainerSpec) hostConfig {
	h := hostConfig{
		LogConfig: logConfig{Type: s.Log.Driver, Config: s.Log.Options}, NetworkMode: s.NetworkMode, PortBindings: map[string][]portBinding{},
		RestartPolicy: restartPolicy{s.Restart.Name, s.Restart.MaxRetries}, AutoRemove: s.AutoRemove, Annotations: s.Annotations,
		CapAdd: s.CapAdd, CapDrop: s.CapDrop, CgroupnsMode: s.CgroupMode, DNS: s.DNS, DNSOptions: s.DNSOptions, DNSSearch: s.DNSSearch,
		ExtraHosts: s.ExtraHosts, GroupAdd: s.GroupAdd, IpcMode: s.IPCMode, PidMode: s.PIDMode, UTSMode: s.UTSMode, UsernsMode: s.UsernsMode,
		Privileged: s.Privileged, ReadonlyRootfs: s.ReadOnly, SecurityOpt: s.SecurityOpt, ShmSize: s.ShmSize, Sysctls: s.Sysctls,
		Memory: s.Resources.Memory, MemoryReservation: s.Resources.MemoryReservation, MemorySwap: s.Resources.MemorySwap,
		NanoCpus: s.Resources.NanoCPUs, CPUShares: s.Resources.CPUShares, CPUPeriod: s.Resources.CPUPeriod, CPUQuota: s.Resources.CPUQuota,
		CpusetCpus: s.Resources.CpusetCpus, OomScoreAdj: s.Resources.OOMScoreAdj, CgroupParent: s.CgroupParent,
	}
	if h.LogConfig.Type == "" {
		h.LogConfig.Type = "json-file"
	}
	if h.RestartPolicy.Name == "" {
		h.RestartPolicy.Name = "no"
	}
	if h.NetworkMode == "" && len(s.Networks) > 0 {
		h.NetworkMode = s.Networks[0].Network
	}
	if h.IpcMode == "" {
		h.IpcMode = "private"
	}
	if h.CgroupnsMode == "" {
		h.CgroupnsMode = "private"
	}
	if h.ShmSize == 0 {
		h.ShmSize = 64 << 20
	}
	if s.Init {
		h.Init = &s.Init
	}
	if s.Resources.PidsLimit != 0 {
		h.PidsLimit = &s.Resources.PidsLimit
	}
	for _, u := range s.Ulimits {
		h.Ulimits = append(h.Ulimits, ulimit{u.Name, u.Hard, u.Soft})
	}
	for _, p := range s.Ports {
		key := fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol)
		b := portBinding{}
		if p.HostIP.IsValid() {
			b.HostIp = p.HostIP.String()
		}
		if p.HostPort != 0 {
			b.HostPort = strconv.Itoa(int(p.HostPort))
		}
		h.PortBindings[key] = append(h.PortBindings[key], b)
	}
	return h
}

func networkInfo(c *orchestrator.Container) networkSettings {
	n := networkSettings{Ports: map[string][]portBinding{}, Networks: map[string]endpointInfo{}}
	for _, e := range c.Spec.Networks { // also of one that does not run
		n.Networks[e.Network] = endpointInfo{Aliases: e.Aliases, Links: e.Links, DriverOpts: e.Options, GwPriority: e.Priority}
	}
	if !c.Running() {
		return n
	}
	for _, e := range c.Spec.Expose {
		n.Ports[e] = nil
	}
	for _, p := range c.State.Ports {
		key := fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol)
		n.Ports[key] = append(n.Ports[key], portBinding{p.HostIP.String(), strconv.Itoa(int(p.HostPort))})
	}
	for i, e := range c.State.Endpoints {
		info := n.Networks[e.Network]
		info.Aliases, info.MacAddress, info.NetworkID, info.EndpointID = e.Aliases, e.MAC, e.NetworkID, EndpointID(c.ID, e.NetworkID)
		info.DNSNames = append([]string{c.Name(), c.ID[:12]}, e.Aliases...)
		if e.IPv4.IsValid() {
			info.IPAddress, info.IPPrefixLen = e.IPv4.String(), e.IPv4Bits
		}
		if e.Gateway.IsValid() {
			info.Gateway = e.Gateway.String()
		}
		if e.Gateway6.IsValid() {
			info.IPv6Gateway = e.Gateway6.String()
		}
		if e.IPv6.IsValid() {
			info.GlobalIPv6Address, info.GlobalIPv6PrefixLen = e.IPv6.String(), e.IPv6Bits
		}
		n.Networks[e.Network] = info
		if i == 0 {
			n.IPAddress, n.IPPrefixLen, n.Gateway, n.MacAddress = info.IPAddress, info.IPPrefixLen, info.Gateway, info.MacAddress
		}
	}
	return n
}

// EndpointID stands for a container's place on a network.
func EndpointID(container, network string) string {
	sum := sha256.Sum256([]byte(container + network))
	return hex.EncodeToString(sum[:])
}
