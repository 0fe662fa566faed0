package cgroup

import (
	"fmt"
	slashpath "path" // path/filepath initialises after the heavy libraries
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// blkio sets the limits of block devices on cgroup v1.
func (w *writer) blkio(b *specs.LinuxBlockIO) {
	scheduler := "blkio."
	if !exists(slashpath.Join(w.h.dir("blkio", w.path), "blkio.weight")) {
		scheduler = "blkio.bfq."
	}
	if b.Weight != nil && *b.Weight != 0 {
		w.set("blkio", scheduler+"weight", strconv.Itoa(int(*b.Weight)))
	}
	for _, d := range b.WeightDevice {
		w.set("blkio", scheduler+"weight_device", fmt.Sprintf("%d:%d %d", d.Major, d.Minor, *d.Weight))
	}
	for _, l := range throttles(b) {
		for _, d := range l.devices {
			w.set("blkio", "blkio.throttle."+l.v1, fmt.Sprintf("%d:%d %d", d.Major, d.Minor, d.Rate))
		}
	}
}

// io sets the limits of block devices on cgroup v2.
func (w *writer) io(b *specs.LinuxBlockIO) {
	if b.Weight != nil && *b.Weight != 0 {
		w.set("io", "io.weight", strconv.Itoa(ioWeight(*b.Weight)))
	}
	for _, d := range b.WeightDevice {
		w.set("io", "io.weight", fmt.Sprintf("%d:%d %d", d.Major, d.Minor, ioWeight(*d.Weight)))
	}
	for _, l := range throttles(b) {
		for _, d := range l.devices {
			w.set("io", "io.max", fmt.Sprintf("%d:%d %s=%d", d.Major, d.Minor, l.v2, d.Rate))
		}
	}
}

// ioWeight maps blkio's 10..1000 onto io's 1..10000.
func ioWeight(weight uint16) int { return 1 + (int(weight)-10)*9999/990 }

type throttle struct {
	v1, v2  string
	devices []specs.LinuxThrottleDevice
}

func throttles(b *specs.LinuxBlockIO) []throttle {
	return []throttle{
		{"read_bps_device", "rbps", b.ThrottleReadBpsDevice},
		{"write_bps_device", "wbps", b.ThrottleWriteBpsDevice},
		{"read_iops_device", "riops", b.ThrottleReadIOPSDevice},
		{"write_iops_device", "wiops", b.ThrottleWriteIOPSDevice},
	}
}
