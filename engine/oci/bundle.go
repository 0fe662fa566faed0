package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path" // path/filepath initialises after the heavy libraries
	"reflect"
	"slices"
	"strconv"
	"strings"

	"compose/engine/runtime"
	"compose/internal/roots"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// loadBundle reads a bundle's config.json into c.
func (c *container) loadBundle(root string) error {
	file := path.Join(c.Bundle, "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the bundle's configuration: %w", err)
	}
	c.Config = text
	if err := c.parse(); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if info, err := os.Stat(c.Spec.Root.Path); err != nil || !info.IsDir() {
		return fmt.Errorf("root.path %s is not a directory", c.Spec.Root.Path)
	}
	c.Annotations = c.Spec.Annotations
	c.Cgroup, err = cgroupPath(c.Spec.Linux.CgroupsPath, root, c.ID)
	return err
}

// parse makes c.Config what engine/runtime takes: paths made absolute, and what
// the OCI leaves to the runtime filled in.
func (c *container) parse() error {
	spec := &specs.Spec{}
	if err := decode(c.Config, spec); err != nil {
		return err
	}
	if err := check(spec); err != nil {
		return err
	}
	if !path.IsAbs(spec.Root.Path) {
		spec.Root.Path = path.Join(c.Bundle, spec.Root.Path)
	}
	for i := range spec.Mounts {
		m := &spec.Mounts[i]
		if bound(*m) && !path.IsAbs(m.Source) {
			m.Source = path.Join(c.Bundle, m.Source)
		}
		// Releases of the OCI's text before 1.0 had paths from the root.
		if !path.IsAbs(m.Destination) {
			m.Destination = "/" + m.Destination
		}
	}
	if spec.Process == nil {
		// There has to be one that can wait; it will never be let go.
		spec.Process, c.NoProcess = &specs.Process{Cwd: "/"}, true
	}
	rules := spec.Linux.Resources.Devices
	if len(rules) == 0 {
		rules = []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}
	}
	// A container has these devices whatever else it may use.
	spec.Linux.Resources.Devices = append(slices.Clone(rules), runtime.DefaultDeviceRules()[1:]...)
	c.Spec = spec
	return nil
}

// decode is json.Unmarshal for one of the specification's large types, of whose
// fields a bundle has a few. encoding/json looks at all types below a type
// before it reads the first byte, which would take longer than all the reading.
func decode(text []byte, into any) error {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		return err
	}
	v := reflect.ValueOf(into).Elem()
	names := make([]string, v.NumField())
	for i := range names {
		names[i], _, _ = strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		part, ok := parts[names[i]]
		if !ok || string(part) == "null" {
			continue
		}
		var err error
		if linux, ok := v.Field(i).Addr().Interface().(**specs.Linux); ok {
			*linux = &specs.Linux{}
			err = decode(part, *linux)
		} else {
			err = json.Unmarshal(part, v.Field(i).Addr().Interface())
		}
		if err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
	}
	for name := range parts {
		// What others may take for a restriction is not passed over.
		fold := func(n string) bool { return n != name && strings.EqualFold(n, name) }
		if i := slices.IndexFunc(names, fold); i >= 0 {
			return fmt.Errorf("%q has to be written %q", name, names[i])
		}
	}
	return nil
}

func bound(m specs.Mount) bool {
	return m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
}

// ownGroup is where a container of a state directory is whose bundle does not
// say where: at the top, because each level costs a directory in every hierarchy.
func ownGroup(root, id string) string {
	return "compose-oci-" + roots.Roots{State: root}.Tag() + "-" + id
}

func cgroupPath(want, root, id string) (string, error) {
	switch {
	case want == "":
		return ownGroup(root, id), nil
	case strings.Count(want, ":") == 2 && !strings.HasPrefix(want, "/"):
		return "", fmt.Errorf("linux.cgroupsPath %q is one for systemd's cgroup manager, which is not supported: use cgroupfs", want)
	}
	return strings.TrimPrefix(path.Clean("/"+want), "/"), nil
}

// check refuses what is not valid and, by name, what is not supported: a
// container never runs with less around it than its bundle says.
func check(spec *specs.Spec) error {
	if err := checkVersion(spec.Version); err != nil {
		return err
	}
	switch {
	case spec.Root == nil || spec.Root.Path == "":
		return errors.New("root.path is missing")
	case spec.Linux == nil:
		spec.Linux = &specs.Linux{}
	case spec.VM != nil || spec.Windows != nil || spec.Solaris != nil || spec.ZOS != nil:
		return errors.New("the bundle is for another platform than linux")
	}
	mounts := false
	seen := map[specs.LinuxNamespaceType]bool{}
	for _, ns := range spec.Linux.Namespaces {
		if seen[ns.Type] {
			return fmt.Errorf("linux.namespaces lists %q twice", ns.Type)
		}
		seen[ns.Type] = true
		mounts = mounts || ns.Type == specs.MountNamespace
	}
	if !mounts {
		return errors.New("linux.namespaces has no mount namespace: a container in the host's own is not made")
	}
	if (spec.Hostname != "" || spec.Domainname != "") && !seen[specs.UTSNamespace] {
		return errors.New("hostname or domainname without a uts namespace would be the host's")
	}
	l := spec.Linux
	if l.Resources == nil {
		l.Resources = &specs.LinuxResources{}
	}
	for name, used := range map[string]bool{
		"linux.intelRdt":     l.IntelRdt != nil,
		"linux.memoryPolicy": l.MemoryPolicy != nil,
		"linux.netDevices":   len(l.NetDevices) > 0,
		"linux.timeOffsets":  len(l.TimeOffsets) > 0,
		"linux.mountLabel":   l.MountLabel != "",

		"linux.resources.network":        l.Resources.Network != nil,
		"linux.resources.hugepageLimits": len(l.Resources.HugepageLimits) > 0,
		"linux.resources.rdma":           len(l.Resources.Rdma) > 0,
		"linux.personality":              l.Personality != nil && l.Personality.Domain != specs.PerLinux,
	} {
		if used {
			return fmt.Errorf("%s is not supported", name)
		}
	}
	if r := l.RootfsPropagation; r != "" && !slices.Contains([]string{"shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable"}, r) {
		return fmt.Errorf("linux.rootfsPropagation %q is none", r)
	}
	return checkProcess(spec.Process)
}

func checkProcess(p *specs.Process) error {
	if p == nil {
		return nil
	}
	for name, used := range map[string]bool{
		"process.apparmorProfile": p.ApparmorProfile != "" && p.ApparmorProfile != runtime.Unconfined && !runtime.AppArmor(),
		"process.selinuxLabel":    p.SelinuxLabel != "",
		"process.scheduler":       p.Scheduler != nil,
		"process.ioPriority":      p.IOPriority != nil,
		"process.execCPUAffinity": p.ExecCPUAffinity != nil,
	} {
		if used {
			return fmt.Errorf("%s is not supported", name)
		}
	}
	seen := map[string]bool{}
	for _, r := range p.Rlimits {
		if seen[r.Type] {
			return fmt.Errorf("process.rlimits lists %s twice", r.Type)
		}
		seen[r.Type] = true
	}
	return nil
}

// checkVersion takes every version of the OCI's text from 1.0 on, and its
// release candidates.
func checkVersion(version string) error {
	major, rest, ok := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); !ok || err != nil || n != 1 || rest == "" {
		return fmt.Errorf("ociVersion %q is not supported: 1.x is", version)
	}
	return nil
}
