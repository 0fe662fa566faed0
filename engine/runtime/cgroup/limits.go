package cgroup

import (
	"fmt"
	slashpath "path" // path/filepath initialises after the heavy libraries
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"compose/internal/rawfile"
)

// Apply writes the limits of r to the group, which exists. Device rules are
// applied too: a container gets at no device that they do not allow.
func Apply(path string, r *specs.LinuxResources) error {
	h, err := host()
	if err != nil {
		return err
	}
	if r == nil {
		return nil
	}
	w := &writer{h: h, path: path}
	if h.pure() {
		w.v2(r)
	} else {
		w.v1(r)
	}
	if w.err != nil {
		return fmt.Errorf("set the limits of the container: %w", w.err)
	}
	if err := allowDevices(h, path, r.Devices); err != nil {
		return fmt.Errorf("set the device rules of the container: %w", err)
	}
	return nil
}

// writer writes until the first error.
type writer struct {
	h    *hierarchies
	path string
	err  error
}

func (w *writer) set(controller, file, value string) {
	if w.err != nil {
		return
	}
	dir := w.h.dir(controller, w.path)
	if dir == "" {
		w.err = fmt.Errorf("this host has no %s cgroup, which %s needs", controller, file)
		return
	}
	w.err = write(dir, file, value)
}

// number reads a limit.
func (w *writer) number(controller, file string) int64 {
	data, err := rawfile.Read(slashpath.Join(w.h.dir(controller, w.path), file))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return n
}

func signed[T int64 | uint64](n T) string { return fmt.Sprint(n) }

func (w *writer) v1(r *specs.LinuxResources) {
	if m := r.Memory; m != nil {
		const memsw = "memory.memsw.limit_in_bytes"
		swap := m.Swap != nil && *m.Swap != 0 && exists(slashpath.Join(w.h.dir("memory", w.path), memsw))
		// Never may memory alone have more than memory and swap together.
		if swap && (*m.Swap < 0 || m.Limit != nil && w.number("memory", memsw) < *m.Limit) {
			w.set("memory", memsw, signed(*m.Swap))
		}
		if m.Limit != nil && *m.Limit != 0 {
			w.set("memory", "memory.limit_in_bytes", signed(*m.Limit))
		}
		if swap {
			w.set("memory", memsw, signed(*m.Swap))
		}
		if m.Reservation != nil && *m.Reservation != 0 {
			w.set("memory", "memory.soft_limit_in_bytes", signed(*m.Reservation))
		}
		if m.KernelTCP != nil && *m.KernelTCP != 0 {
			w.set("memory", "memory.kmem.tcp.limit_in_bytes", signed(*m.KernelTCP))
		}
		if m.Swappiness != nil {
			w.set("memory", "memory.swappiness", signed(*m.Swappiness))
		}
		if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
			w.set("memory", "memory.oom_control", "1")
		}
	}
	if c := r.CPU; c != nil {
		if c.Shares != nil && *c.Shares != 0 {
			w.set("cpu", "cpu.shares", signed(*c.Shares))
		}
		if c.Period != nil && *c.Period != 0 {
			w.set("cpu", "cpu.cfs_period_us", signed(*c.Period))
		}
		if c.Quota != nil && *c.Quota != 0 {
			w.set("cpu", "cpu.cfs_quota_us", signed(*c.Quota))
		}
		if c.RealtimePeriod != nil && *c.RealtimePeriod != 0 {
			w.set("cpu", "cpu.rt_period_us", signed(*c.RealtimePeriod))
		}
		if c.RealtimeRuntime != nil && *c.RealtimeRuntime != 0 {
			w.set("cpu", "cpu.rt_runtime_us", signed(*c.RealtimeRuntime))
		}
		w.cpuset(c)
	}
	if r.Pids != nil && r.Pids.Limit != nil && *r.Pids.Limit != 0 {
		w.set("pids", "pids.max", pidsMax(*r.Pids.Limit))
	}
	if r.BlockIO != nil {
		w.blkio(r.BlockIO)
	}
}

func (w *writer) v2(r *specs.LinuxResources) {
	if m := r.Memory; m != nil {
		if m.Limit != nil && *m.Limit != 0 {
			w.set("memory", "memory.max", max2(*m.Limit))
		}
		if m.Swap != nil && *m.Swap != 0 {
			// v1 and Docker count memory and swap together, v2 swap alone.
			swap := *m.Swap
			if swap > 0 && m.Limit != nil {
				swap -= *m.Limit
			}
			if exists(slashpath.Join(w.h.dir("memory", w.path), "memory.swap.max")) {
				w.set("memory", "memory.swap.max", max2(swap))
			}
		}
		if m.Reservation != nil && *m.Reservation != 0 {
			w.set("memory", "memory.low", signed(*m.Reservation))
		}
	}
	if c := r.CPU; c != nil {
		if c.Shares != nil && *c.Shares != 0 {
			w.set("cpu", "cpu.weight", signed(weight(*c.Shares)))
		}
		if c.Quota != nil && *c.Quota != 0 || c.Period != nil && *c.Period != 0 {
			quota, period := "max", uint64(100000)
			if c.Quota != nil && *c.Quota > 0 {
				quota = signed(*c.Quota)
			}
			if c.Period != nil && *c.Period != 0 {
				period = *c.Period
			}
			w.set("cpu", "cpu.max", fmt.Sprintf("%s %d", quota, period))
		}
		w.cpuset(c)
	}
	if r.Pids != nil && r.Pids.Limit != nil && *r.Pids.Limit != 0 {
		w.set("pids", "pids.max", pidsMax(*r.Pids.Limit))
	}
	if r.BlockIO != nil {
		w.io(r.BlockIO)
	}
	for file, value := range r.Unified {
		w.set("unified", file, value)
	}
}

func (w *writer) cpuset(c *specs.LinuxCPU) {
	if c.Cpus != "" {
		w.set("cpuset", "cpuset.cpus", c.Cpus)
	}
	if c.Mems != "" {
		w.set("cpuset", "cpuset.mems", c.Mems)
	}
}

// weight maps cpu.shares (2..262144, 1024 is one share) onto cpu.weight
// (1..10000) so that the ends and Docker's other values agree.
func weight(shares uint64) uint64 {
	return 1 + (min(max(shares, 2), 262144)-2)*9999/262142
}

func max2(n int64) string {
	if n < 0 {
		return "max"
	}
	return strconv.FormatInt(n, 10)
}

func pidsMax(n int64) string { return max2(n) }
