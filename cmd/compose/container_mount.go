package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"
)

func (f *containerFlags) fillMounts(s *types.ServiceConfig) error {
	if f.volumeDriver != "" && f.volumeDriver != "local" {
		return fmt.Errorf("--volume-driver: %q is not supported, there is \"local\" only", f.volumeDriver)
	}
	for _, text := range f.volumes {
		v, err := format.ParseVolume(text)
		if err != nil {
			return fmt.Errorf("--volume %s: %w", text, err)
		}
		if v.Type == types.VolumeTypeBind {
			if v.Source, err = hostPath(v.Source); err != nil {
				return fmt.Errorf("--volume %s: %w", text, err)
			}
			if v.Bind == nil {
				v.Bind = &types.ServiceVolumeBind{}
			}
			v.Bind.CreateHostPath = true
		}
		s.Volumes = append(s.Volumes, v)
	}
	for _, text := range f.mounts {
		v, err := parseMount(text)
		if err != nil {
			return fmt.Errorf("invalid argument %q for --mount: %w", text, err)
		}
		s.Volumes = append(s.Volumes, v)
	}
	return nil
}

// hostPath makes a path absolute, "~" being the user's home.
func hostPath(p string) (string, error) {
	if rest, ok := strings.CutPrefix(p, "~"); ok && (rest == "" || rest[0] == '/') {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		p = filepath.Join(home, rest)
	}
	return filepath.Abs(p)
}

// parseMount reads the comma separated form of --mount.
func parseMount(text string) (types.ServiceVolumeConfig, error) {
	v := types.ServiceVolumeConfig{Type: types.VolumeTypeVolume}
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return v, err
	}
	m := mountFields{v: &v}
	for _, field := range fields {
		key, value, given := strings.Cut(strings.TrimSpace(field), "=")
		if err := m.set(strings.ToLower(key), value, given); err != nil {
			return v, err
		}
	}
	if v.Target == "" {
		return v, fmt.Errorf("target is required")
	}
	switch v.Type {
	case types.VolumeTypeBind:
		if v.Source == "" {
			return v, fmt.Errorf("source is required")
		}
		v.Bind = &m.bind
		if v.Source, err = hostPath(v.Source); err != nil {
			return v, err
		}
	case types.VolumeTypeVolume:
		v.Volume = &m.volume
	case types.VolumeTypeTmpfs:
		if v.Source != "" {
			return v, fmt.Errorf("cannot use source with type=tmpfs")
		}
		v.Tmpfs = &m.tmpfs
	case types.VolumeTypeImage:
		v.Image = &m.image
	default:
		return v, fmt.Errorf("type %q is not supported; use bind, volume, tmpfs or image", v.Type)
	}
	return v, nil
}

type mountFields struct {
	v      *types.ServiceVolumeConfig
	bind   types.ServiceVolumeBind
	volume types.ServiceVolumeVolume
	tmpfs  types.ServiceVolumeTmpfs
	image  types.ServiceVolumeImage
}

func (m *mountFields) set(key, value string, given bool) error {
	yes := !given
	if given {
		yes, _ = strconv.ParseBool(value)
	}
	switch key {
	case "type":
		m.v.Type = strings.ToLower(value)
	case "source", "src":
		m.v.Source = value
	case "target", "dst", "destination":
		m.v.Target = value
	case "readonly", "ro":
		m.v.ReadOnly = yes
	case "bind-propagation":
		m.bind.Propagation = value
	case "bind-recursive":
		m.bind.Recursive = value
	case "bind-create-src":
		m.bind.CreateHostPath = types.OptOut(yes)
	case "consistency":
	case "volume-nocopy":
		m.volume.NoCopy = yes
	case "volume-subpath":
		m.volume.Subpath = value
	case "volume-label":
		if m.volume.Labels == nil {
			m.volume.Labels = types.Mapping{}
		}
		k, v, _ := strings.Cut(value, "=")
		m.volume.Labels[k] = v
	case "image-subpath":
		m.image.SubPath = value
	case "tmpfs-size":
		n, err := units.RAMInBytes(value)
		if err != nil {
			return fmt.Errorf("invalid value for %s: %s", key, value)
		}
		m.tmpfs.Size = types.UnitBytes(n)
	case "tmpfs-mode":
		n, err := strconv.ParseUint(value, 8, 32)
		if err != nil {
			return fmt.Errorf("invalid value for %s: %s", key, value)
		}
		m.tmpfs.Mode = uint32(n)
	default:
		return fmt.Errorf("unexpected key '%s' in '%s=%s'", key, key, value)
	}
	return nil
}
