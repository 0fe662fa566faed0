package main

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"compose/orchestrator"
)

// containerFlags are what `container run` and `container create` know of a
// container, as it was typed.
type containerFlags struct {
	orchestrator.StandaloneOptions
	image   string
	command []string

	interactive, tty, init, readOnly, privileged, oomKillDisable, noHealthcheck, publishAll, quiet bool

	entrypoint, hostname, domainname, user, workdir, restart, stopSignal, platform, cidfile string
	ip, ip6, mac, pidMode, ipcMode, utsMode, usernsMode, cgroupns, cgroupParent             string
	memory, memorySwap, memoryReservation, shmSize, cpus, cpuset, cpusetMems                string
	healthCmd, logDriver, volumeDriver                                                      string

	env, envFiles, labels, labelFiles, publish, expose, volumes, mounts, tmpfs, volumesFrom []string
	hosts, dns, dnsSearch, dnsOptions, aliases, capAdd, capDrop, securityOpt, devices       []string
	deviceCgroupRules, ulimits, sysctls, groups, logOpts, networks, attach                  []string

	cpuShares, cpuPeriod, cpuQuota, cpuRTPeriod, cpuRTRuntime, pidsLimit, oomScoreAdj, swappiness int64

	blkioWeightDevices, readBps, writeBps, readIOps, writeIOps, annotations, storageOpts, links, linkLocalIPs []string

	gpus, isolation, runtime string
	useAPISocket             bool
	cpuCount                 int64
	cpuPercent               float32

	stopTimeout, healthRetries int
	blkioWeight                uint16

	healthInterval, healthTimeout, healthStartPeriod, healthStartInterval time.Duration

	entrypointSet bool
}

func (f *containerFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.SetInterspersed(false)
	fl.Bool("help", false, "Print this") // -h is the host name's
	f.registerProcess(fl)
	f.registerNetwork(fl)
	f.registerFiles(fl)
	f.registerLimits(fl)
	f.registerLife(fl)
	f.registerRare(fl)
}

func (f *containerFlags) registerProcess(fl *pflag.FlagSet) {
	fl.BoolVarP(&f.interactive, "interactive", "i", false, "Keep standard input open")
	fl.BoolVarP(&f.tty, "tty", "t", false, "Give the process a terminal")
	fl.StringArrayVarP(&f.attach, "attach", "a", nil, "Attach to stdin, stdout or stderr (repeatable)")
	fl.StringVar(&f.entrypoint, "entrypoint", "", "In the place of the image's entrypoint")
	fl.StringArrayVarP(&f.env, "env", "e", nil, "Set an environment variable (repeatable)")
	fl.StringArrayVar(&f.envFiles, "env-file", nil, "Set environment variables from a file (repeatable)")
	fl.StringVarP(&f.user, "user", "u", "", "Run as this user, as name|uid[:group|gid]")
	fl.StringArrayVar(&f.groups, "group-add", nil, "One more group of the process (repeatable)")
	fl.StringVarP(&f.workdir, "workdir", "w", "", "Run in this directory of the container")
	fl.BoolVar(&f.init, "init", false, "Run an init inside the container that passes signals on and reaps processes")
	fl.StringVar(&f.platform, "platform", "", "The platform of the image, as os/architecture")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "Do not show the progress of a pull")
	fl.StringVar(&f.Pull, "pull", "missing", `When to pull the image ("always", "missing" or "never")`)
	fl.StringVar(&f.cidfile, "cidfile", "", "Write the container's ID to this file")
	fl.StringArrayVarP(&f.labels, "label", "l", nil, "A label, as KEY=VALUE (repeatable)")
	fl.StringArrayVar(&f.labelFiles, "label-file", nil, "Labels from a file, one a line (repeatable)")
	fl.StringVar(&f.Name, "name", "", "The container's name")
	fl.StringVar(&f.logDriver, "log-driver", "", "Where the output goes: json-file, local, syslog, journald or none")
	fl.StringArrayVar(&f.logOpts, "log-opt", nil, "An option of the log driver, as max-size=10m (repeatable)")
}

func (f *containerFlags) registerNetwork(fl *pflag.FlagSet) {
	fl.StringArrayVarP(&f.publish, "publish", "p", nil, "Publish a port, as [IP:][HOST:]CONTAINER[/udp] (repeatable)")
	fl.BoolVarP(&f.publishAll, "publish-all", "P", false, "Publish all exposed ports on free ports of the host")
	fl.StringArrayVar(&f.expose, "expose", nil, "A port that the container listens on (repeatable)")
	fl.StringArrayVar(&f.networks, "network", nil, `A network by name, "none", "host" or "container:NAME" (repeatable)`)
	fl.StringArrayVar(&f.networks, "net", nil, "The same as --network")
	fl.StringArrayVar(&f.aliases, "network-alias", nil, "One more name of the container on its network (repeatable)")
	fl.StringArrayVar(&f.aliases, "net-alias", nil, "The same as --network-alias")
	_, _ = fl.MarkHidden("net"), fl.MarkHidden("net-alias") // the flags exist
	fl.StringVar(&f.ip, "ip", "", "The container's IPv4 address")
	fl.StringVar(&f.ip6, "ip6", "", "The container's IPv6 address")
	fl.StringArrayVar(&f.linkLocalIPs, "link-local-ip", nil, "A link-local address more (repeatable)")
	fl.StringArrayVar(&f.links, "link", nil, "Another container, as NAME:ALIAS, by a name that this one alone has for it (repeatable)")
	fl.StringVar(&f.mac, "mac-address", "", "The container's MAC address")
	fl.StringVarP(&f.hostname, "hostname", "h", "", "The container's host name")
	fl.StringVar(&f.domainname, "domainname", "", "The container's domain name")
	fl.StringArrayVar(&f.hosts, "add-host", nil, "An entry of /etc/hosts, as NAME:IP (repeatable)")
	fl.StringArrayVar(&f.dns, "dns", nil, "A name server (repeatable)")
	fl.StringArrayVar(&f.dnsSearch, "dns-search", nil, "A search domain (repeatable)")
	fl.StringArrayVar(&f.dnsOptions, "dns-option", nil, "A resolver option (repeatable)")
}

func (f *containerFlags) registerFiles(fl *pflag.FlagSet) {
	fl.StringArrayVarP(&f.volumes, "volume", "v", nil, "Mount a volume or a host path, as SOURCE:TARGET[:ro] (repeatable)")
	fl.StringArrayVar(&f.mounts, "mount", nil, "Mount, as type=bind,source=PATH,target=PATH (repeatable)")
	fl.StringArrayVar(&f.tmpfs, "tmpfs", nil, "Mount a tmpfs, as TARGET[:OPTIONS] (repeatable)")
	fl.StringArrayVar(&f.volumesFrom, "volumes-from", nil, "Mount what another container mounts (repeatable)")
	fl.StringVar(&f.volumeDriver, "volume-driver", "", `The volumes' driver; there is "local" only`)
	fl.BoolVar(&f.readOnly, "read-only", false, "Mount the container's root read-only")
	fl.StringVar(&f.shmSize, "shm-size", "", "The size of /dev/shm")
	fl.StringArrayVar(&f.devices, "device", nil, "A device of the host, as PATH[:PATH[:rwm]] (repeatable)")
	fl.StringArrayVar(&f.deviceCgroupRules, "device-cgroup-rule", nil, "Allow devices, as 'c 1:3 mr' (repeatable)")
}

// registerChangeable adds the limits that a container can get while it runs.
func (f *containerFlags) registerChangeable(fl *pflag.FlagSet) {
	fl.StringVarP(&f.memory, "memory", "m", "", "Memory limit, as 512m")
	fl.StringVar(&f.memorySwap, "memory-swap", "", "Limit of memory and swap together, -1: no limit")
	fl.StringVar(&f.memoryReservation, "memory-reservation", "", "Soft memory limit")
	fl.StringVar(&f.cpus, "cpus", "", "Number of CPUs, as 1.5")
	fl.Int64VarP(&f.cpuShares, "cpu-shares", "c", 0, "Relative weight of CPU time")
	fl.Int64Var(&f.cpuPeriod, "cpu-period", 0, "CFS period in microseconds")
	fl.Int64Var(&f.cpuQuota, "cpu-quota", 0, "CFS quota in microseconds")
	fl.Int64Var(&f.cpuRTPeriod, "cpu-rt-period", 0, "Real-time period in microseconds")
	fl.Int64Var(&f.cpuRTRuntime, "cpu-rt-runtime", 0, "Real-time runtime in microseconds")
	fl.StringVar(&f.cpuset, "cpuset-cpus", "", "CPUs that may be used, as 0-2,4")
	fl.StringVar(&f.cpusetMems, "cpuset-mems", "", "Memory nodes that may be used")
	fl.Int64Var(&f.pidsLimit, "pids-limit", 0, "Limit of processes, -1: none")
	fl.Uint16Var(&f.blkioWeight, "blkio-weight", 0, "Relative weight of block IO, 10 to 1000")
}

func (f *containerFlags) registerLimits(fl *pflag.FlagSet) {
	f.registerChangeable(fl)
	fl.Int64Var(&f.swappiness, "memory-swappiness", -1, "0 to 100")
	fl.BoolVar(&f.oomKillDisable, "oom-kill-disable", false, "Do not kill processes when memory runs out")
	fl.Int64Var(&f.oomScoreAdj, "oom-score-adj", 0, "-1000 to 1000")
	fl.StringArrayVar(&f.ulimits, "ulimit", nil, "A resource limit, as nofile=1024:2048 (repeatable)")
	fl.StringArrayVar(&f.sysctls, "sysctl", nil, "A kernel parameter of the container, as NAME=VALUE (repeatable)")
	fl.StringVar(&f.cgroupParent, "cgroup-parent", "", "The cgroup above the container's")
	fl.StringVar(&f.cgroupns, "cgroupns", "", `The cgroup namespace, "host" or "private"`)
	fl.StringArrayVar(&f.capAdd, "cap-add", nil, "Add a capability (repeatable)")
	fl.StringArrayVar(&f.capDrop, "cap-drop", nil, "Take a capability away (repeatable)")
	fl.StringArrayVar(&f.securityOpt, "security-opt", nil, "A security option, as no-new-privileges (repeatable)")
	fl.BoolVar(&f.privileged, "privileged", false, "Give the container all privileges")
	fl.StringVar(&f.pidMode, "pid", "", `The PID namespace, "host" or "container:NAME"`)
	fl.StringVar(&f.ipcMode, "ipc", "", `The IPC namespace, "private", "shareable", "host" or "container:NAME"`)
	fl.StringVar(&f.utsMode, "uts", "", `The UTS namespace, "host"`)
	fl.StringVar(&f.usernsMode, "userns", "", `The user namespace, "host"`)
}

func (f *containerFlags) registerLife(fl *pflag.FlagSet) {
	fl.BoolVar(&f.AutoRemove, "rm", false, "Remove the container when it has ended")
	fl.StringVar(&f.restart, "restart", "no", "When to restart: no, on-failure[:N], always or unless-stopped")
	fl.StringVar(&f.stopSignal, "stop-signal", "", "The signal that stops the container")
	fl.IntVar(&f.stopTimeout, "stop-timeout", -1, "Seconds until a container that does not stop is killed")
	fl.StringVar(&f.healthCmd, "health-cmd", "", "The command that checks health")
	fl.DurationVar(&f.healthInterval, "health-interval", 0, "Time between two checks")
	fl.DurationVar(&f.healthTimeout, "health-timeout", 0, "How long one check may take")
	fl.DurationVar(&f.healthStartPeriod, "health-start-period", 0, "How long failures do not count at first")
	fl.DurationVar(&f.healthStartInterval, "health-start-interval", 0, "Time between two checks during that")
	fl.IntVar(&f.healthRetries, "health-retries", 0, "Failures in a row that make the container unhealthy")
	fl.BoolVar(&f.noHealthcheck, "no-healthcheck", false, "Switch off the image's health check")
}

// registerRare are the flags that few need, and those that another kind of
// host would know what to do with.
func (f *containerFlags) registerRare(fl *pflag.FlagSet) {
	fl.StringArrayVar(&f.annotations, "annotation", nil, "An annotation for the OCI runtime, as KEY=VALUE (repeatable)")
	fl.StringArrayVar(&f.blkioWeightDevices, "blkio-weight-device", nil, "Relative weight of a block device, as PATH:WEIGHT (repeatable)")
	fl.StringArrayVar(&f.readBps, "device-read-bps", nil, "Limit reading from a block device, as PATH:1mb a second (repeatable)")
	fl.StringArrayVar(&f.writeBps, "device-write-bps", nil, "Limit writing to a block device, as PATH:1mb a second (repeatable)")
	fl.StringArrayVar(&f.readIOps, "device-read-iops", nil, "Limit reads of a block device, as PATH:1000 a second (repeatable)")
	fl.StringArrayVar(&f.writeIOps, "device-write-iops", nil, "Limit writes to a block device, as PATH:1000 a second (repeatable)")
	fl.StringVar(&f.runtime, "runtime", "", "The OCI runtime that runs the container")
	fl.StringVar(&f.gpus, "gpus", "", "GPUs for the container")
	fl.StringArrayVar(&f.storageOpts, "storage-opt", nil, "An option of the storage, as size=10G (repeatable)")
	fl.BoolVar(&f.useAPISocket, "use-api-socket", false, "Hand the engine's API socket into the container")
	fl.StringVar(&f.isolation, "isolation", "", "How the container is isolated, on Windows")
	fl.Int64Var(&f.cpuCount, "cpu-count", 0, "Number of CPUs, on Windows")
	fl.Float32Var(&f.cpuPercent, "cpu-percent", 0, "Percent of the CPUs, on Windows")
	fl.Bool("disable-content-trust", true, "Accepted for compatibility")
	for _, name := range []string{"gpus", "storage-opt", "use-api-socket", "isolation", "cpu-count", "cpu-percent", "disable-content-trust"} {
		_ = fl.MarkHidden(name) // the flag exists
	}
}
