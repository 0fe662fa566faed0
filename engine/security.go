package engine

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"compose/engine/runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// capabilities are Docker's defaults with CapAdd and CapDrop applied.
func capabilities(s *ContainerSpec) ([]string, error) {
	all := runtime.Capabilities()
	if s.Privileged {
		return all, nil
	}
	normal := func(list []string) ([]string, bool, error) {
		var names []string
		for _, c := range list {
			c = strings.ToUpper(c)
			if c == "ALL" {
				return names, true, nil
			}
			if !strings.HasPrefix(c, "CAP_") {
				c = "CAP_" + c
			}
			if !runtime.KnownCapability(c) {
				return nil, false, fmt.Errorf("invalid capability: unknown capability %q", c)
			}
			names = append(names, c)
		}
		return names, false, nil
	}
	add, addAll, err := normal(s.CapAdd)
	if err != nil {
		return nil, err
	}
	drop, dropAll, err := normal(s.CapDrop)
	if err != nil {
		return nil, err
	}
	var caps []string
	switch {
	case addAll:
		caps = slices.Clone(all)
	case !dropAll:
		caps = runtime.DefaultCapabilities()
	}
	if !dropAll {
		caps = slices.DeleteFunc(caps, func(c string) bool { return slices.Contains(drop, c) })
	}
	for _, c := range add {
		if !slices.Contains(caps, c) {
			caps = append(caps, c)
		}
	}
	return caps, nil
}

// securityOpt is one entry of security_opt, taken apart.
type securityOpt struct{ key, value string }

func parseSecurityOpt(opt string) (securityOpt, error) {
	key, value, ok := strings.Cut(opt, "=")
	if !ok {
		key, value, ok = strings.Cut(opt, ":")
	}
	switch key {
	case "no-new-privileges":
		if !ok {
			value = "true"
		}
		if value != "true" && value != "false" {
			return securityOpt{}, fmt.Errorf("invalid --security-opt: %q", opt)
		}
	case "seccomp", "systempaths", "apparmor", "label", "writable-cgroups":
		if !ok || value == "" {
			return securityOpt{}, fmt.Errorf("invalid --security-opt: %q", opt)
		}
	default:
		return securityOpt{}, fmt.Errorf("invalid --security-opt 1: %q", opt)
	}
	return securityOpt{key, value}, nil
}

// secure sets capabilities, seccomp and the hidden paths.
func secure(s *ContainerSpec, spec *specs.Spec) error {
	caps, err := capabilities(s)
	if err != nil {
		return err
	}
	spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
	confined := !s.Privileged
	for _, text := range s.SecurityOpt {
		opt, err := parseSecurityOpt(text)
		if err != nil {
			return err
		}
		switch opt.key {
		case "no-new-privileges":
			spec.Process.NoNewPrivileges = opt.value == "true"
		case "systempaths":
			if opt.value == "unconfined" {
				spec.Linux.MaskedPaths, spec.Linux.ReadonlyPaths = nil, nil
			}
		case "seccomp":
			confined = false
			if opt.value == "unconfined" || opt.value == "builtin" {
				confined = opt.value == "builtin"
				continue
			}
			text := []byte(opt.value)
			if !strings.HasPrefix(strings.TrimSpace(opt.value), "{") {
				if text, err = os.ReadFile(opt.value); err != nil {
					return fmt.Errorf("read the seccomp profile: %w", err)
				}
			}
			if spec.Linux.Seccomp, err = runtime.LoadSeccomp(text, spec); err != nil {
				return err
			}
		}
	}
	if confined {
		if spec.Linux.Seccomp, err = runtime.DefaultSeccomp(spec); err != nil {
			return err
		}
	}
	if s.Privileged {
		spec.Linux.MaskedPaths, spec.Linux.ReadonlyPaths = nil, nil
		spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
		for i := range spec.Mounts {
			if m := &spec.Mounts[i]; m.Type == "sysfs" || m.Type == "cgroup" {
				m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "ro" })
			}
		}
	}
	return nil
}

// devices adds the host's devices that the container may use.
func devices(s *ContainerSpec, spec *specs.Spec) error {
	for _, d := range s.Devices {
		node, rule, err := hostDevice(d)
		if err != nil {
			return err
		}
		spec.Linux.Devices = append(spec.Linux.Devices, node)
		spec.Linux.Resources.Devices = append(spec.Linux.Resources.Devices, rule)
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
