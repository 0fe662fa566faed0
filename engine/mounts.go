package engine

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// mounts adds the container's own mounts to the defaults, those of shorter
// paths first, and the files of the name service.
func (e *Engine) mounts(c *Container, spec *specs.Spec) error {
	s := &c.Spec
	for i := range spec.Mounts {
		m := &spec.Mounts[i]
		if m.Destination == "/dev/shm" && s.ShmSize > 0 {
			m.Options = append(slices.DeleteFunc(m.Options, func(o string) bool { return strings.HasPrefix(o, "size=") }), fmt.Sprintf("size=%d", s.ShmSize))
		}
	}
	if s.IPCMode == "host" {
		spec.Mounts = slices.DeleteFunc(spec.Mounts, func(m specs.Mount) bool { return m.Destination == "/dev/shm" || m.Destination == "/dev/mqueue" })
		spec.Mounts = append(spec.Mounts,
			specs.Mount{Destination: "/dev/shm", Type: "bind", Source: "/dev/shm", Options: []string{"rbind"}},
			specs.Mount{Destination: "/dev/mqueue", Type: "bind", Source: "/dev/mqueue", Options: []string{"rbind"}})
	}
	own := make([]specs.Mount, 0, len(s.Mounts)+3)
	for _, m := range s.Mounts {
		mount, err := e.mount(m)
		if err != nil {
			return fmt.Errorf("mount on %s: %w", m.Target, err)
		}
		own = append(own, mount)
		// One of the user's own replaces the default at the same place.
		spec.Mounts = slices.DeleteFunc(spec.Mounts, func(d specs.Mount) bool { return d.Destination == path.Clean(m.Target) })
	}
	sort.SliceStable(own, func(i, j int) bool {
		return strings.Count(own[i].Destination, "/") < strings.Count(own[j].Destination, "/")
	})
	for _, name := range []string{"resolv.conf", "hostname", "hosts"} {
		target := "/etc/" + name
		if slices.ContainsFunc(own, func(m specs.Mount) bool { return m.Destination == target }) {
			continue
		}
		options := []string{"rbind", "rprivate"}
		if s.ReadOnly {
			options = append(options, "ro")
		}
		own = append(own, specs.Mount{Destination: target, Type: "bind", Source: filepath.Join(e.dir(c.ID), name), Options: options})
	}
	spec.Mounts = append(spec.Mounts, own...)
	return nil
}

func (e *Engine) mount(m Mount) (specs.Mount, error) {
	out := specs.Mount{Destination: path.Clean(m.Target), Type: "bind", Source: m.Source, Options: []string{"rbind"}}
	switch m.Type {
	case "tmpfs":
		out.Type, out.Source, out.Options = "tmpfs", "tmpfs", []string{"noexec", "nosuid", "nodev"}
		if m.TmpfsSize > 0 {
			out.Options = append(out.Options, fmt.Sprintf("size=%d", m.TmpfsSize))
		}
		if m.TmpfsMode != 0 {
			out.Options = append(out.Options, fmt.Sprintf("mode=%o", m.TmpfsMode))
		}
		if m.TmpfsOpts != "" {
			out.Options = append(out.Options, strings.Split(m.TmpfsOpts, ",")...)
		}
		if m.ReadOnly {
			out.Options = append(out.Options, "ro")
		}
		return out, nil
	case "volume":
		v, err := e.volumes.Get(m.Source)
		if err != nil {
			return out, err
		}
		source, fstype, options := e.volumes.MountSource(v)
		out.Source = source
		if fstype != "bind" {
			out.Type, out.Options = fstype, strings.Split(options, ",")
		}
		if m.Subpath != "" {
			if out.Source, err = subpath(source, m.Subpath); err != nil {
				return out, err
			}
		}
	case "bind":
		if err := prepareBind(&m); err != nil {
			return out, err
		}
		if m.Recursive == "disabled" {
			out.Options = []string{"bind"}
		}
	default:
		return out, fmt.Errorf("mounts of type %q are not supported", m.Type)
	}
	propagation := m.Propagation
	if propagation == "" {
		propagation = "rprivate"
	}
	out.Options = append(out.Options, propagation)
	if m.ReadOnly {
		ro := "ro"
		if m.Recursive == "readonly" {
			ro = "rro"
		}
		out.Options = append(out.Options, ro)
	}
	return out, nil
}

// subpath resolves a directory inside a volume. Its links are the containers'
// to make, so it may not have any.
func subpath(top, sub string) (string, error) {
	root, err := os.OpenRoot(top)
	if err != nil {
		return "", err
	}
	defer root.Close()
	at := ""
	for _, part := range strings.Split(path.Clean("/" + sub)[1:], "/") {
		at = path.Join(at, part)
		info, err := root.Lstat(at)
		if err != nil {
			return "", fmt.Errorf("subpath %s: %w", sub, err)
		}
		if info.Mode()&os.ModeSymlink != 0 {
			return "", fmt.Errorf("subpath %s: %s is a symbolic link, which is not followed", sub, at)
		}
	}
	return filepath.Join(top, at), nil
}
