// Package engine is the facade of one host's containers, images, networks and
// volumes. It knows nothing of Compose and can be used as a library.
package engine

import (
	"encoding/json"
	"time"

	"compose/netbridge"
)

// ContainerSpec asks for a container. What is left zero comes from the image
// or is Docker's default.
type ContainerSpec struct {
	Name        string            `json:"name"`
	Project     string            `json:"project,omitempty"` // whose supervisor looks after it
	Image       string            `json:"image"`             // reference as the user wrote it, or an image ID
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"` // of the OCI runtime specification

	// The process. A nil slice means the image's; an Entrypoint that is not nil
	// drops the image's command, as Docker does.
	Entrypoint []string `json:"entrypoint,omitempty"`
	Command    []string `json:"command,omitempty"`
	Env        []string `json:"env,omitempty"` // "K=V", or "K" to drop the image's
	User       string   `json:"user,omitempty"`
	GroupAdd   []string `json:"group_add,omitempty"`
	WorkingDir string   `json:"working_dir,omitempty"`
	Umask      *uint32  `json:"umask,omitempty"` // nil: 0022
	TTY        bool     `json:"tty,omitempty"`
	OpenStdin  bool     `json:"open_stdin,omitempty"`
	Init       bool     `json:"init,omitempty"`
	Runtime    string   `json:"runtime,omitempty"` // an installed OCI runtime; "": the built-in one

	// Its life.
	Restart     RestartPolicy  `json:"restart"`
	StopSignal  string         `json:"stop_signal,omitempty"`
	StopTimeout *time.Duration `json:"stop_timeout,omitempty"`
	Health      *Healthcheck   `json:"health,omitempty"`
	AutoRemove  bool           `json:"auto_remove,omitempty"`

	// What it sees.
	Hostname   string            `json:"hostname,omitempty"`
	Domainname string            `json:"domainname,omitempty"`
	Mounts     []Mount           `json:"mounts,omitempty"`
	ReadOnly   bool              `json:"read_only,omitempty"`
	ShmSize    int64             `json:"shm_size,omitempty"` // bytes; 0: 64 MiB
	Sysctls    map[string]string `json:"sysctls,omitempty"`
	Devices    []Device          `json:"devices,omitempty"`

	// Its networks. NetworkMode is "" (Networks decide), "none", "host" or
	// "container:<id>".
	NetworkMode string                     `json:"network_mode,omitempty"`
	Networks    []netbridge.EndpointConfig `json:"networks,omitempty"`
	Ports       []netbridge.PortMapping    `json:"ports,omitempty"`
	Expose      []string                   `json:"expose,omitempty"` // "80/tcp"
	DNS         []string                   `json:"dns,omitempty"`
	DNSSearch   []string                   `json:"dns_search,omitempty"`
	DNSOptions  []string                   `json:"dns_options,omitempty"`
	ExtraHosts  []string                   `json:"extra_hosts,omitempty"` // "name:address", address may be "host-gateway"

	// Other namespaces: "" is private, "host", "container:<id>".
	PIDMode    string `json:"pid_mode,omitempty"`
	IPCMode    string `json:"ipc_mode,omitempty"`
	UTSMode    string `json:"uts_mode,omitempty"`
	CgroupMode string `json:"cgroup_mode,omitempty"` // "", "private", "host"
	UsernsMode string `json:"userns_mode,omitempty"`

	// Confinement and limits.
	CapAdd            []string  `json:"cap_add,omitempty"`
	CapDrop           []string  `json:"cap_drop,omitempty"`
	Privileged        bool      `json:"privileged,omitempty"`
	SecurityOpt       []string  `json:"security_opt,omitempty"`
	DeviceCgroupRules []string  `json:"device_cgroup_rules,omitempty"`
	Ulimits           []Ulimit  `json:"ulimits,omitempty"`
	CgroupParent      string    `json:"cgroup_parent,omitempty"`
	Resources         Resources `json:"resources"`

	Log LogConfig `json:"log"`

	// Origin is what the caller has made this of, for the caller to compare
	// with later.
	Origin json.RawMessage `json:"origin,omitempty"`
}

// RestartPolicy says when a container that has ended is started again.
type RestartPolicy struct {
	Name       string `json:"name,omitempty"` // "", "no", "always", "on-failure", "unless-stopped"
	MaxRetries int    `json:"max_retries,omitempty"`
}

// Healthcheck is a command run inside the container; Test is in Docker's form
// (["NONE"], ["CMD", ...] or ["CMD-SHELL", line]). Zero durations are Docker's
// defaults (30s, 30s, 0s, 5s) and zero Retries is 3.
type Healthcheck struct {
	Test          []string      `json:"test,omitempty"`
	Interval      time.Duration `json:"interval,omitempty"`
	Timeout       time.Duration `json:"timeout,omitempty"`
	StartPeriod   time.Duration `json:"start_period,omitempty"`
	StartInterval time.Duration `json:"start_interval,omitempty"`
	Retries       int           `json:"retries,omitempty"`
}

// Mount is one entry of a container's file tree beside its root.
type Mount struct {
	Type        string `json:"type"`             // "bind", "volume", "tmpfs", "image"
	Source      string `json:"source,omitempty"` // host path, volume name ("" is an anonymous volume) or image
	Target      string `json:"target"`           // absolute path inside
	ReadOnly    bool   `json:"read_only,omitempty"`
	Propagation string `json:"propagation,omitempty"` // bind: "rprivate" unless named
	CreateHost  bool   `json:"create_host,omitempty"` // bind: make a missing source directory
	Recursive   string `json:"recursive,omitempty"`   // bind: "", "enabled", "disabled", "writable", "readonly"
	NoCopy      bool   `json:"no_copy,omitempty"`     // volume: do not fill from the image
	Subpath     string `json:"subpath,omitempty"`     // volume, image
	ImageID     string `json:"image_id,omitempty"`    // image: what Source was when the container was made
	Own         bool   `json:"own,omitempty"`         // bind: a file of ours, whose owner is one of the container's users
	TmpfsSize   int64  `json:"tmpfs_size,omitempty"`  // bytes
	TmpfsMode   uint32 `json:"tmpfs_mode,omitempty"`
	TmpfsOpts   string `json:"tmpfs_opts,omitempty"` // the rest, comma separated
	// Labels for an anonymous or named volume that this mount creates.
	Labels map[string]string `json:"labels,omitempty"`
}

// Device lets a container use a device node of the host.
type Device struct {
	Source      string `json:"source"`
	Target      string `json:"target"`
	Permissions string `json:"permissions"` // of "rwm"
}

// Ulimit is one resource limit by its Docker name ("nofile", "core", ...).
type Ulimit struct {
	Name string `json:"name"`
	Soft int64  `json:"soft"`
	Hard int64  `json:"hard"`
}

// Resources are the cgroup limits of a container; zero is no limit.
type Resources struct {
	NanoCPUs          int64         `json:"nano_cpus,omitempty"`
	CPUShares         int64         `json:"cpu_shares,omitempty"`
	CPUQuota          int64         `json:"cpu_quota,omitempty"`  // microseconds
	CPUPeriod         int64         `json:"cpu_period,omitempty"` // microseconds
	CPURTPeriod       int64         `json:"cpu_rt_period,omitempty"`
	CPURTRuntime      int64         `json:"cpu_rt_runtime,omitempty"`
	CpusetCpus        string        `json:"cpuset_cpus,omitempty"`
	CpusetMems        string        `json:"cpuset_mems,omitempty"`
	Memory            int64         `json:"memory,omitempty"`             // bytes
	MemoryReservation int64         `json:"memory_reservation,omitempty"` // bytes
	MemorySwap        int64         `json:"memory_swap,omitempty"`        // bytes of memory and swap, -1: no limit
	MemorySwappiness  *int64        `json:"memory_swappiness,omitempty"`
	PidsLimit         int64         `json:"pids_limit,omitempty"`
	OOMKillDisable    bool          `json:"oom_kill_disable,omitempty"`
	OOMScoreAdj       int           `json:"oom_score_adj,omitempty"`
	BlkioWeight       uint16        `json:"blkio_weight,omitempty"`
	BlkioDevices      []BlkioDevice `json:"blkio_devices,omitempty"`
}

// BlkioDevice limits one block device: Kind is "weight" (10 to 1000) or
// "read_bps", "write_bps", "read_iops" or "write_iops", with a rate a second.
type BlkioDevice struct {
	Kind string `json:"kind"`
	Path string `json:"path"`
	Rate uint64 `json:"rate"`
}

// LogConfig says where a container's output goes. Driver "" is "json-file".
type LogConfig struct {
	Driver  string            `json:"driver,omitempty"`
	Options map[string]string `json:"options,omitempty"`
}

// Container is a created container: what was asked, and what that came to.
// It is kept in <state>/containers/<id>/config.json, of which only the name,
// the networks, the limits and the restart policy ever change.
type Container struct {
	Version int           `json:"version"`
	ID      string        `json:"id"` // 64 hexadecimal digits
	Created time.Time     `json:"created"`
	ImageID string        `json:"image_id"`          // sha256:<config digest>
	Spec    ContainerSpec `json:"spec"`              // with the image's configuration merged in
	UserNS  *UserNS       `json:"user_ns,omitempty"` // nil: the host's
}

// Status is one of Docker's words for where a container is in its life.
type Status string

// The states of a container.
const (
	Created    Status = "created"
	Running    Status = "running"
	Paused     Status = "paused"
	Restarting Status = "restarting"
	Removing   Status = "removing"
	Exited     Status = "exited"
	Dead       Status = "dead"
)

// State is what is true of a container now. It is kept in
// <state>/containers/<id>/state.json and written by its supervisor only.
type State struct {
	Version       int                       `json:"version"`
	Status        Status                    `json:"status"`
	PID           int                       `json:"pid,omitempty"`
	PIDStart      uint64                    `json:"pid_start,omitempty"` // field 22 of /proc/<pid>/stat: tells a reused PID
	StartedAt     time.Time                 `json:"started_at,omitzero"`
	FinishedAt    time.Time                 `json:"finished_at,omitzero"`
	ExitCode      int                       `json:"exit_code"`
	OOMKilled     bool                      `json:"oom_killed,omitempty"`
	Error         string                    `json:"error,omitempty"` // why it could not start
	RestartCount  int                       `json:"restart_count,omitempty"`
	StoppedByHand bool                      `json:"stopped_by_hand,omitempty"` // "unless-stopped" asks
	Health        *Health                   `json:"health,omitempty"`
	Endpoints     []netbridge.Endpoint      `json:"endpoints,omitempty"`
	Ports         []netbridge.PublishedPort `json:"ports,omitempty"`
}

// Health is the outcome of the last healthchecks.
type Health struct {
	Status        string      `json:"status"` // "starting", "healthy", "unhealthy"
	FailingStreak int         `json:"failing_streak"`
	Log           []HealthLog `json:"log,omitempty"` // the last five
}

// HealthLog is one run of the healthcheck.
type HealthLog struct {
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	ExitCode int       `json:"exit_code"`
	Output   string    `json:"output"` // at most 4096 bytes
}
