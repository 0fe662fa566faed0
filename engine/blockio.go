package engine

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// blockIO sets the limits of block devices.
func blockIO(res Resources, r *specs.LinuxResources) error {
	if res.BlkioWeight == 0 && len(res.BlkioDevices) == 0 {
		return nil
	}
	b := &specs.LinuxBlockIO{}
	if res.BlkioWeight != 0 {
		b.Weight = &res.BlkioWeight
	}
	for _, d := range res.BlkioDevices {
		var st unix.Stat_t
		if err := unix.Stat(d.Path, &st); err != nil {
			return fmt.Errorf("limit the block device %s: %w", d.Path, err)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFBLK {
			return fmt.Errorf("limit the block device %s: it is none", d.Path)
		}
		major, minor := int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
		if d.Kind == "weight" {
			weight := uint16(d.Rate)
			one := specs.LinuxWeightDevice{Weight: &weight}
			one.Major, one.Minor = major, minor
			b.WeightDevice = append(b.WeightDevice, one)
			continue
		}
		one := specs.LinuxThrottleDevice{Rate: d.Rate}
		one.Major, one.Minor = major, minor
		switch d.Kind {
		case "read_bps":
			b.ThrottleReadBpsDevice = append(b.ThrottleReadBpsDevice, one)
		case "write_bps":
			b.ThrottleWriteBpsDevice = append(b.ThrottleWriteBpsDevice, one)
		case "read_iops":
			b.ThrottleReadIOPSDevice = append(b.ThrottleReadIOPSDevice, one)
		case "write_iops":
			b.ThrottleWriteIOPSDevice = append(b.ThrottleWriteIOPSDevice, one)
		}
	}
	r.BlockIO = b
	return nil
}
