package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"

	"compose/spec"
)

// fillBlockIO reads --blkio-weight and the limits of single block devices.
func (f *containerFlags) fillBlockIO(s *types.ServiceConfig) error {
	b := types.BlkioConfig{Weight: f.blkioWeight}
	for _, text := range f.blkioWeightDevices {
		path, value, err := deviceLimit("blkio-weight-device", text)
		if err != nil {
			return err
		}
		weight, err := strconv.ParseUint(value, 10, 16)
		if err != nil || weight != 0 && (weight < 10 || weight > 1000) {
			return fmt.Errorf("invalid argument %q for --blkio-weight-device: the weight is a number of 10 to 1000, or 0", text)
		}
		b.WeightDevice = append(b.WeightDevice, types.WeightDevice{Path: path, Weight: uint16(weight)})
	}
	for _, limit := range []struct {
		flag  string
		texts []string
		parse func(string) (int64, error)
		to    *[]types.ThrottleDevice
	}{
		{"device-read-bps", f.readBps, units.RAMInBytes, &b.DeviceReadBps},
		{"device-write-bps", f.writeBps, units.RAMInBytes, &b.DeviceWriteBps},
		{"device-read-iops", f.readIOps, decimal, &b.DeviceReadIOps},
		{"device-write-iops", f.writeIOps, decimal, &b.DeviceWriteIOps},
	} {
		for _, text := range limit.texts {
			path, value, err := deviceLimit(limit.flag, text)
			if err != nil {
				return err
			}
			rate, err := limit.parse(value)
			if err != nil || rate < 0 {
				return fmt.Errorf("invalid argument %q for --%s: the rate %q is not a positive number", text, limit.flag, value)
			}
			*limit.to = append(*limit.to, types.ThrottleDevice{Path: path, Rate: types.UnitBytes(rate)})
		}
	}
	if b.Weight != 0 || b.WeightDevice != nil || b.DeviceReadBps != nil || b.DeviceWriteBps != nil || b.DeviceReadIOps != nil || b.DeviceWriteIOps != nil {
		s.BlkioConfig = &b
	}
	return nil
}

func decimal(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) }

// deviceLimit splits PATH:VALUE.
func deviceLimit(flag, text string) (path, value string, err error) {
	path, value, ok := strings.Cut(text, ":")
	if !ok || !strings.HasPrefix(path, "/dev/") {
		return "", "", fmt.Errorf("invalid argument %q for --%s: write it as /dev/PATH:VALUE", text, flag)
	}
	return path, value, nil
}

// fillRare reads what few hosts can give, and refuses by its flag's name what
// this one cannot.
func (f *containerFlags) fillRare(s *types.ServiceConfig) error {
	if len(f.annotations) > 0 {
		s.Annotations = pairs(f.annotations)
	}
	if len(f.storageOpts) > 0 {
		s.StorageOpt = pairs(f.storageOpts)
	}
	if f.gpus != "" {
		s.Gpus = []types.DeviceRequest{{Capabilities: []string{"gpu"}}}
	}
	s.Runtime, s.UseAPISocket, s.Isolation = f.runtime, f.useAPISocket, f.isolation
	s.CPUCount, s.CPUPercent = f.cpuCount, f.cpuPercent
	reasons := spec.RefusedFields(*s)
	for _, field := range slices.Sorted(maps.Keys(reasons)) {
		return fmt.Errorf("--%s: %s", flagOf(field), reasons[field])
	}
	return nil
}

// flagOf is the flag that sets a field of a service.
func flagOf(field string) string {
	switch {
	case field == "logging.driver":
		return "log-driver"
	case strings.HasPrefix(field, "volumes["):
		return "mount"
	}
	return strings.ReplaceAll(field, "_", "-")
}
