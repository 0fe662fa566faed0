package engine

import (
	"fmt"
	"os"
	"slices"
	"strings"

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
