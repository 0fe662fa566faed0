package orchestrator

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
)

// mounts puts a container's file tree together: volumes, then what it takes
// over from other containers and from the one it replaces, tmpfs, and the
// files of configs and secrets. Of two mounts on one target the first wins.
func mounts(p *types.Project, s types.ServiceConfig, o convertOptions) ([]engine.Mount, error) {
	list := &mountList{}
	for _, v := range s.Volumes {
		m, err := volumeMount(p, v)
		if err != nil {
			return nil, err
		}
		if m.Type == "volume" && m.Source == "" {
			m.Source = inheritedVolume(o.Inherit, m.Target)
		}
		list.add(m)
	}
	for _, t := range s.Tmpfs {
		target, opts, _ := strings.Cut(t, ":")
		list.add(engine.Mount{Type: "tmpfs", Target: path.Clean(target), TmpfsOpts: opts})
	}
	for _, from := range s.VolumesFrom {
		if err := mountsFrom(list, from, o.Peer); err != nil {
			return nil, err
		}
	}
	// Anonymous volumes that the image asked for live on too.
	for _, m := range o.Inherit {
		if m.Type == "volume" && !isProjectVolume(p, m.Source) {
			list.add(m)
		}
	}
	if err := fileMounts(list, p, s, o); err != nil {
		return nil, err
	}
	return list.mounts, nil
}

type mountList struct {
	mounts  []engine.Mount
	targets map[string]bool
}

func (l *mountList) add(m engine.Mount) {
	if l.targets == nil {
		l.targets = map[string]bool{}
	}
	if l.targets[m.Target] {
		return
	}
	l.targets[m.Target] = true
	l.mounts = append(l.mounts, m)
}

func volumeMount(p *types.Project, v types.ServiceVolumeConfig) (engine.Mount, error) {
	if !path.IsAbs(v.Target) {
		return engine.Mount{}, fmt.Errorf("volumes: target %q must be an absolute path inside the container", v.Target)
	}
	m := engine.Mount{Type: v.Type, Source: v.Source, Target: path.Clean(v.Target), ReadOnly: v.ReadOnly}
	switch v.Type {
	case types.VolumeTypeBind:
		m.CreateHost = true
		if v.Bind != nil {
			m.Propagation = v.Bind.Propagation
			m.CreateHost = bool(v.Bind.CreateHostPath)
			m.Recursive = v.Bind.Recursive
		}
	case types.VolumeTypeVolume:
		if v.Source != "" {
			vol, ok := p.Volumes[v.Source]
			if !ok {
				return m, fmt.Errorf("volumes: %q is not declared under the top-level volumes", v.Source)
			}
			m.Source = vol.Name
		}
		if v.Volume != nil {
			m.NoCopy = v.Volume.NoCopy
			m.Subpath = v.Volume.Subpath
			m.Labels = v.Volume.Labels
		}
	case types.VolumeTypeTmpfs:
		m.Source = ""
		if v.Tmpfs != nil {
			m.TmpfsSize = int64(v.Tmpfs.Size)
			m.TmpfsMode = v.Tmpfs.Mode
		}
	case types.VolumeTypeImage:
		m.ReadOnly = true
		if v.Image != nil {
			m.Subpath = v.Image.SubPath
		}
	default:
		return m, fmt.Errorf("volumes: type %q (target %s) is not supported on Linux; use bind, volume, tmpfs or image", v.Type, v.Target)
	}
	return m, nil
}

// inheritedVolume is the volume that the replaced container had at target.
func inheritedVolume(old []engine.Mount, target string) string {
	for _, m := range old {
		if m.Type == "volume" && m.Target == target {
			return m.Source
		}
	}
	return ""
}

func isProjectVolume(p *types.Project, name string) bool {
	for _, v := range p.Volumes {
		if v.Name == name {
			return true
		}
	}
	return false
}

// mountsFrom takes over all mounts of another container: "service",
// "service:ro" or "container:name:ro".
func mountsFrom(list *mountList, from string, peer func(string) (*engine.Container, error)) error {
	ref, mode := from, ""
	if i := strings.LastIndexByte(from, ':'); i > 0 && (from[i+1:] == "ro" || from[i+1:] == "rw") {
		ref, mode = from[:i], from[i+1:]
	}
	if !strings.HasPrefix(ref, types.ContainerPrefix) {
		ref = types.ServicePrefix + ref
	}
	c, err := peer(ref)
	if err != nil {
		return fmt.Errorf("cannot share volumes with %s: %w", ref, err)
	}
	for _, m := range c.Spec.Mounts {
		if m.Type == "tmpfs" {
			continue
		}
		if mode == "ro" {
			m.ReadOnly = true
		}
		list.add(m)
	}
	return nil
}

// volumeLabels are the labels a project's volume is made with.
func volumeLabels(p *types.Project, key string, v types.VolumeConfig) map[string]string {
	l := map[string]string{}
	maps.Copy(l, v.Labels)
	l[LabelVolume] = key
	l[LabelProject] = p.Name
	l[LabelVersion] = Version
	l[LabelConfigHash] = volumeHash(v)
	return l
}

// usedVolumes are the keys of the project's volumes that a service mounts.
func usedVolumes(s types.ServiceConfig) []string {
	var keys []string
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeVolume && v.Source != "" {
			keys = append(keys, v.Source)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
