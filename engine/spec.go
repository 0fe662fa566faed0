package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"compose/engine/runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// checkSpec refuses early what would fail only when the container starts.
func checkSpec(s *ContainerSpec) error {
	if _, err := capabilities(s); err != nil {
		return err
	}
	for _, u := range s.Ulimits {
		if _, err := rlimit(u); err != nil {
			return err
		}
	}
	for _, text := range s.SecurityOpt {
		if _, err := parseSecurityOpt(text); err != nil {
			return err
		}
	}
	host := hostAppArmor()
	if err := host.check(host.profile(s)); err != nil {
		return err
	}
	for _, d := range s.Devices {
		if d.isCDI() {
			if _, err := findCDI(cdiDirs, d.Source); err != nil {
				return err
			}
		}
	}
	for _, m := range s.Mounts {
		if !filepath.IsAbs(m.Target) {
			return fmt.Errorf("invalid mount path: %q mount path must be absolute", m.Target)
		}
	}
	if s.UsernsMode != "" && s.UsernsMode != "host" {
		return fmt.Errorf("userns_mode %q is not supported, use \"host\"", s.UsernsMode)
	}
	return nil
}

// runtimeSpec translates a container into the OCI's terms. The files of the
// name service are made by then. The files are to be closed once the Spec has
// been carried out.
func (e *Engine) runtimeSpec(c *Container) (*specs.Spec, heldFiles, error) {
	var held heldFiles
	spec, err := e.specWith(c, &held)
	if err != nil {
		held.close()
		return nil, nil, err
	}
	return spec, held, nil
}

func (e *Engine) specWith(c *Container, held *heldFiles) (*specs.Spec, error) {
	s := &c.Spec
	spec := runtime.DefaultSpec()
	p := spec.Process
	p.Args = append(slices.Clone(s.Entrypoint), s.Command...)
	p.Cwd = s.WorkingDir
	p.Terminal = s.TTY
	p.Env = processEnv(c)
	p.User.Username, p.User.Umask = s.User, s.Umask
	if s.Resources.OOMScoreAdj != 0 {
		p.OOMScoreAdj = &s.Resources.OOMScoreAdj
	}
	for _, u := range s.Ulimits {
		l, err := rlimit(u)
		if err != nil {
			return nil, err
		}
		p.Rlimits = append(p.Rlimits, l)
	}
	spec.Root.Readonly = s.ReadOnly
	spec.Annotations = s.Annotations
	spec.Hostname, spec.Domainname = hostname(c), s.Domainname
	spec.Linux.Sysctl = otherSysctls(s.Sysctls)
	if err := e.namespaces(c, spec); err != nil {
		return nil, err
	}
	c.UserNS.apply(spec)
	if err := secure(s, spec); err != nil {
		return nil, err
	}
	if err := label(s, p); err != nil {
		return nil, err
	}
	if err := resources(s, spec.Linux.Resources); err != nil {
		return nil, err
	}
	if err := e.mounts(c, spec, held); err != nil {
		return nil, err
	}
	return spec, devices(s, spec)
}

func hostname(c *Container) string {
	switch {
	case c.Spec.Hostname != "":
		return c.Spec.Hostname
	case c.Spec.NetworkMode == "host" || c.Spec.UTSMode == "host":
		name, _ := os.Hostname()
		return name
	}
	return c.ID[:12]
}

func processEnv(c *Container) []string {
	base := []string{runtime.DefaultPath, "HOSTNAME=" + hostname(c)}
	if c.Spec.TTY {
		base = append(base, "TERM=xterm")
	}
	return mergeEnv(base, c.Spec.Env)
}

// otherSysctls are those that the network side does not write.
func otherSysctls(all map[string]string) map[string]string {
	other := map[string]string{}
	for k, v := range all {
		if !strings.HasPrefix(k, "net.") {
			other[k] = v
		}
	}
	return other
}

// namespaces applies the modes that share one with the host or another container.
func (e *Engine) namespaces(c *Container, spec *specs.Spec) error {
	s := &c.Spec
	share := func(t specs.LinuxNamespaceType, mode, file string) error {
		switch {
		case mode == "host":
			spec.Linux.Namespaces = slices.DeleteFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == t })
		case strings.HasPrefix(mode, "container:"):
			id := strings.TrimPrefix(mode, "container:")
			st, err := e.State(id)
			if err != nil {
				return err
			}
			if st.Status != Running && st.Status != Paused {
				return fmt.Errorf("cannot join the %s namespace of a non running container: container %.12s is %s", t, id, st.Status)
			}
			for i := range spec.Linux.Namespaces {
				if spec.Linux.Namespaces[i].Type == t {
					spec.Linux.Namespaces[i].Path = fmt.Sprintf("/proc/%d/ns/%s", st.PID, file)
				}
			}
		}
		return nil
	}
	for _, n := range []struct {
		t          specs.LinuxNamespaceType
		mode, file string
	}{
		{specs.NetworkNamespace, s.NetworkMode, "net"},
		{specs.PIDNamespace, s.PIDMode, "pid"},
		{specs.IPCNamespace, s.IPCMode, "ipc"},
		{specs.UTSNamespace, s.UTSMode, "uts"},
		{specs.CgroupNamespace, s.CgroupMode, "cgroup"},
	} {
		if err := share(n.t, n.mode, n.file); err != nil {
			return err
		}
	}
	if s.UTSMode == "host" {
		spec.Hostname, spec.Domainname = "", ""
	}
	return nil
}

// resources sets the limits; a value that was not given stays unset.
func resources(s *ContainerSpec, r *specs.LinuxResources) error {
	res := s.Resources
	r.CPU = &specs.LinuxCPU{Cpus: res.CpusetCpus, Mems: res.CpusetMems}
	set := func(dst **int64, v int64) {
		if v != 0 {
			*dst = &v
		}
	}
	setU := func(dst **uint64, v int64) {
		if v > 0 {
			u := uint64(v)
			*dst = &u
		}
	}
	setU(&r.CPU.Shares, res.CPUShares)
	setU(&r.CPU.Period, res.CPUPeriod)
	set(&r.CPU.Quota, res.CPUQuota)
	setU(&r.CPU.RealtimePeriod, res.CPURTPeriod)
	set(&r.CPU.RealtimeRuntime, res.CPURTRuntime)
	if res.NanoCPUs > 0 {
		setU(&r.CPU.Period, 100_000)
		set(&r.CPU.Quota, res.NanoCPUs/10_000)
	}
	r.Memory = &specs.LinuxMemory{}
	set(&r.Memory.Limit, res.Memory)
	set(&r.Memory.Reservation, res.MemoryReservation)
	swap := res.MemorySwap
	if swap == 0 && res.Memory > 0 {
		swap = 2 * res.Memory // Docker's default: as much swap as memory
	}
	set(&r.Memory.Swap, swap)
	if res.MemorySwappiness != nil && *res.MemorySwappiness >= 0 {
		u := uint64(*res.MemorySwappiness)
		r.Memory.Swappiness = &u
	}
	if res.OOMKillDisable {
		r.Memory.DisableOOMKiller = &res.OOMKillDisable
	}
	if res.PidsLimit != 0 {
		r.Pids = &specs.LinuxPids{Limit: &res.PidsLimit}
	}
	return blockIO(res, r)
}

func rlimit(u Ulimit) (specs.POSIXRlimit, error) {
	name := "RLIMIT_" + strings.ToUpper(u.Name)
	if !slices.Contains([]string{
		"RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_LOCKS", "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE",
		"RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_RSS", "RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK",
	}, name) {
		return specs.POSIXRlimit{}, fmt.Errorf("invalid ulimit type: %s", u.Name)
	}
	return specs.POSIXRlimit{Type: name, Soft: uint64(u.Soft), Hard: uint64(u.Hard)}, nil
}
