package engine

import (
	"cmp"
	"errors"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"compose/engine/runtime/cgroup"
)

// Update changes limits and the restart policy of a container; what is left
// zero stays as it is.
type Update struct {
	Resources Resources     `json:"resources"`
	Restart   RestartPolicy `json:"restart"`
}

// Update puts the change on record and, if the container runs, into force.
func (e *Engine) Update(id string, u Update, running bool) (*Container, error) {
	c, err := e.changeSpec(id, func(c *Container) error {
		if err := u.change(&c.Spec); err != nil {
			return err
		}
		var limits specs.LinuxResources
		if err := resources(&c.Spec, &limits); err != nil || !running {
			return err
		}
		return cgroup.Apply(e.cgroupPath(c), &limits)
	})
	if err != nil {
		return nil, err
	}
	e.Happened(c, "update", nil)
	return c, nil
}

// change makes the change where it goes with what the container has.
func (u Update) change(s *ContainerSpec) error {
	r, n := &s.Resources, u.Resources
	switch {
	case u.Restart.Name != "" && u.Restart.Name != "no" && s.AutoRemove:
		//lint:ignore ST1005 Docker's own words
		return errors.New("Restart policy cannot be updated because AutoRemove is enabled for the container")
	case n.NanoCPUs != 0 && (r.CPUPeriod != 0 || r.CPUQuota != 0):
		//lint:ignore ST1005 Docker's own words
		return errors.New("Conflicting options: Nano CPUs cannot be updated as CPU Period or Quota has already been set")
	case r.NanoCPUs != 0 && (n.CPUPeriod != 0 || n.CPUQuota != 0):
		//lint:ignore ST1005 Docker's own words
		return errors.New("Conflicting options: CPU Period or Quota cannot be updated as NanoCPUs has already been set")
	case n.Memory > 0 && n.MemorySwap == 0 && r.MemorySwap > 0 && n.Memory > r.MemorySwap:
		//lint:ignore ST1005 Docker's own words
		return errors.New("Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time")
	}
	r.NanoCPUs = cmp.Or(n.NanoCPUs, r.NanoCPUs)
	r.CPUShares, r.CPUQuota, r.CPUPeriod = cmp.Or(n.CPUShares, r.CPUShares), cmp.Or(n.CPUQuota, r.CPUQuota), cmp.Or(n.CPUPeriod, r.CPUPeriod)
	r.CPURTPeriod, r.CPURTRuntime = cmp.Or(n.CPURTPeriod, r.CPURTPeriod), cmp.Or(n.CPURTRuntime, r.CPURTRuntime)
	r.CpusetCpus, r.CpusetMems = cmp.Or(n.CpusetCpus, r.CpusetCpus), cmp.Or(n.CpusetMems, r.CpusetMems)
	r.Memory, r.MemorySwap = cmp.Or(n.Memory, r.Memory), cmp.Or(n.MemorySwap, r.MemorySwap)
	r.MemoryReservation = cmp.Or(n.MemoryReservation, r.MemoryReservation)
	r.PidsLimit, r.BlkioWeight = cmp.Or(n.PidsLimit, r.PidsLimit), cmp.Or(n.BlkioWeight, r.BlkioWeight)
	if u.Restart.Name != "" {
		s.Restart = u.Restart
	}
	return nil
}
