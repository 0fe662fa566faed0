package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// devices adds the host's devices that the container may use.
func devices(s *ContainerSpec, spec *specs.Spec) error {
	list := s.Devices
	if s.Privileged { // all there are
		list = append(hostDevices(Device{Source: "/dev", Target: "/dev"}), list...)
	}
	add := func(d Device) error {
		node, rule, err := hostDevice(d)
		if err != nil {
			return err
		}
		spec.Linux.Devices = slices.DeleteFunc(spec.Linux.Devices, func(old specs.LinuxDevice) bool { return old.Path == node.Path })
		spec.Linux.Devices = append(spec.Linux.Devices, node)
		if !s.Privileged { // everything is allowed already
			spec.Linux.Resources.Devices = append(spec.Linux.Resources.Devices, rule)
		}
		return nil
	}
	for _, d := range list {
		if d.isCDI() {
			if err := addCDI(cdiDirs, d, spec, add); err != nil {
				return err
			}
			continue
		}
		found := []Device{d}
		if info, err := os.Stat(d.Source); err == nil && info.IsDir() {
			found = hostDevices(d)
		}
		for _, d := range found {
			if err := add(d); err != nil {
				return err
			}
		}
	}
	for _, text := range s.DeviceCgroupRules {
		rule, err := parseDeviceRule(text)
		if err != nil {
			return err
		}
		spec.Linux.Resources.Devices = append(spec.Linux.Resources.Devices, rule)
	}
	return nil
}

// notDevices are what is below /dev for other reasons, or is each container's
// own.
var notDevices = []string{"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console", "ptmx", "tty", "null", "zero", "full", "random", "urandom"}

// hostDevices are the devices below a directory of the host.
func hostDevices(dir Device) []Device {
	entries, err := os.ReadDir(dir.Source)
	if err != nil {
		return nil
	}
	var out []Device
	for _, e := range entries {
		d := Device{Source: filepath.Join(dir.Source, e.Name()), Target: filepath.Join(dir.Target, e.Name()), Permissions: dir.Permissions}
		switch {
		case dir.Target == "/dev" && slices.Contains(notDevices, e.Name()):
		case e.IsDir():
			out = append(out, hostDevices(d)...)
		case e.Type()&os.ModeDevice != 0:
			out = append(out, d)
		}
	}
	return out
}

func hostDevice(d Device) (specs.LinuxDevice, specs.LinuxDeviceCgroup, error) {
	var st unix.Stat_t
	if err := unix.Stat(d.Source, &st); err != nil {
		return specs.LinuxDevice{}, specs.LinuxDeviceCgroup{}, fmt.Errorf("error gathering device information while adding custom device %q: %w", d.Source, err)
	}
	kind := "c"
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		kind = "b"
	case unix.S_IFCHR:
	default:
		return specs.LinuxDevice{}, specs.LinuxDeviceCgroup{}, fmt.Errorf("error gathering device information while adding custom device %q: not a device node", d.Source)
	}
	target, permissions := d.Target, d.Permissions
	if target == "" {
		target = d.Source
	}
	if permissions == "" {
		permissions = "rwm"
	}
	major, minor := int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	mode := os.FileMode(st.Mode & 0o777)
	uid, gid := st.Uid, st.Gid
	return specs.LinuxDevice{Path: target, Type: kind, Major: major, Minor: minor, FileMode: &mode, UID: &uid, GID: &gid},
		specs.LinuxDeviceCgroup{Allow: true, Type: kind, Major: &major, Minor: &minor, Access: permissions}, nil
}

func parseDeviceRule(text string) (specs.LinuxDeviceCgroup, error) {
	bad := fmt.Errorf("invalid device cgroup rule format: %q, write it as \"c 1:3 rwm\"", text)
	f := strings.Fields(text)
	if len(f) != 3 {
		return specs.LinuxDeviceCgroup{}, bad
	}
	rule := specs.LinuxDeviceCgroup{Allow: true, Type: f[0], Access: f[2]}
	numbers := strings.Split(f[1], ":")
	if len(numbers) != 2 || !slices.Contains([]string{"a", "b", "c"}, f[0]) || strings.Trim(f[2], "rwm") != "" {
		return rule, bad
	}
	for i, dst := range []**int64{&rule.Major, &rule.Minor} {
		if numbers[i] == "*" {
			continue
		}
		var n int64
		if _, err := fmt.Sscanf(numbers[i], "%d", &n); err != nil {
			return rule, bad
		}
		*dst = &n
	}
	return rule, nil
}
