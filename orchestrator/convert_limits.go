package orchestrator

import (
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
)

// resources gathers the limits of a service from its own fields and from
// deploy.resources, which wins.
func resources(s types.ServiceConfig) engine.Resources {
	r := engine.Resources{
		NanoCPUs:          int64(float64(s.CPUS) * 1e9),
		CPUShares:         s.CPUShares,
		CPUQuota:          s.CPUQuota,
		CPUPeriod:         s.CPUPeriod,
		CPURTPeriod:       s.CPURTPeriod,
		CPURTRuntime:      s.CPURTRuntime,
		CpusetCpus:        s.CPUSet,
		Memory:            int64(s.MemLimit),
		MemoryReservation: int64(s.MemReservation),
		MemorySwap:        int64(s.MemSwapLimit),
		PidsLimit:         s.PidsLimit,
		OOMKillDisable:    s.OomKillDisable,
		OOMScoreAdj:       int(s.OomScoreAdj),
	}
	if s.MemSwappiness != 0 {
		v := int64(s.MemSwappiness)
		r.MemorySwappiness = &v
	}
	if s.BlkioConfig != nil {
		r.BlkioWeight = s.BlkioConfig.Weight
		r.BlkioDevices = blkioDevices(s.BlkioConfig)
	}
	if s.Deploy == nil {
		return r
	}
	if l := s.Deploy.Resources.Limits; l != nil {
		if l.NanoCPUs != 0 {
			r.NanoCPUs = int64(float64(l.NanoCPUs) * 1e9)
		}
		if l.MemoryBytes != 0 {
			r.Memory = int64(l.MemoryBytes)
		}
		if l.Pids != 0 {
			r.PidsLimit = l.Pids
		}
	}
	if v := s.Deploy.Resources.Reservations; v != nil && v.MemoryBytes != 0 {
		r.MemoryReservation = int64(v.MemoryBytes)
	}
	return r
}

func blkioDevices(b *types.BlkioConfig) []engine.BlkioDevice {
	var out []engine.BlkioDevice
	for _, w := range b.WeightDevice {
		out = append(out, engine.BlkioDevice{Kind: "weight", Path: w.Path, Rate: uint64(w.Weight)})
	}
	for _, l := range []struct {
		kind string
		list []types.ThrottleDevice
	}{
		{"read_bps", b.DeviceReadBps},
		{"write_bps", b.DeviceWriteBps},
		{"read_iops", b.DeviceReadIOps},
		{"write_iops", b.DeviceWriteIOps},
	} {
		for _, d := range l.list {
			out = append(out, engine.BlkioDevice{Kind: l.kind, Path: d.Path, Rate: uint64(d.Rate)})
		}
	}
	return out
}

func ulimits(m map[string]*types.UlimitsConfig) []engine.Ulimit {
	var out []engine.Ulimit
	for _, name := range slices.Sorted(maps.Keys(m)) {
		u := m[name]
		if u == nil {
			continue
		}
		l := engine.Ulimit{Name: name, Soft: int64(u.Soft), Hard: int64(u.Hard)}
		if u.Single != 0 {
			l.Soft, l.Hard = int64(u.Single), int64(u.Single)
		}
		out = append(out, l)
	}
	return out
}

// devices are those of the host that a service uses: by path, or by a name of
// the Container Device Interface.
func devices(s types.ServiceConfig) []engine.Device {
	var out []engine.Device
	if s.Deploy != nil && s.Deploy.Resources.Reservations != nil {
		for _, r := range s.Deploy.Resources.Reservations.Devices {
			if r.Driver != "cdi" {
				continue // refused
			}
			for _, id := range r.IDs {
				out = append(out, engine.Device{Source: id})
			}
		}
	}
	for _, d := range s.Devices {
		e := engine.Device{Source: d.Source, Target: d.Target, Permissions: d.Permissions}
		if e.Target == "" {
			e.Target = e.Source
		}
		if e.Permissions == "" {
			e.Permissions = "rwm"
		}
		out = append(out, e)
	}
	return out
}

// securityOptions makes the path of a seccomp profile absolute: it is written
// relative to the project.
func securityOptions(p *types.Project, opts []string) []string {
	var out []string
	for _, o := range opts {
		key, value, ok := strings.Cut(o, "=")
		if !ok {
			key, value, ok = strings.Cut(o, ":")
		}
		if ok && key == "seccomp" && value != "unconfined" && value != "builtin" {
			value = p.RelativePath(value)
		}
		if ok {
			o = key + "=" + value
		}
		out = append(out, o)
	}
	return out
}
