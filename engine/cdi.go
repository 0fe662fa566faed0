package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"go.yaml.in/yaml/v4"

	"compose/internal/lateinit"
)

// Devices of the Container Device Interface: a vendor says in a file of the
// host what a container needs of a device that is called
// "vendor.com/class=name".

// cdiDirs are where the files are; a device in a later one wins.
var cdiDirs = []string{"/etc/cdi", "/var/run/cdi"}

// maxCDIFile bounds a file, in bytes.
const maxCDIFile = 1 << 20

// isCDI says that a device is named so.
func (d Device) isCDI() bool {
	kind, name, ok := strings.Cut(d.Source, "=")
	return ok && name != "" && strings.Contains(kind, "/") && !strings.HasPrefix(kind, "/")
}

type cdiFile struct {
	Kind    string   `yaml:"kind"`
	Edits   cdiEdits `yaml:"containerEdits"`
	Devices []struct {
		Name  string   `yaml:"name"`
		Edits cdiEdits `yaml:"containerEdits"`
	} `yaml:"devices"`
}

// cdiEdits are changes of a container.
type cdiEdits struct {
	Env         []string `yaml:"env"`
	DeviceNodes []struct {
		Path        string `yaml:"path"`
		HostPath    string `yaml:"hostPath"`
		Permissions string `yaml:"permissions"`
	} `yaml:"deviceNodes"`
	Mounts []struct {
		HostPath      string   `yaml:"hostPath"`
		ContainerPath string   `yaml:"containerPath"`
		Options       []string `yaml:"options"`
	} `yaml:"mounts"`
	Hooks []struct {
		Name string `yaml:"hookName"`
		Path string `yaml:"path"`
	} `yaml:"hooks"`
	AdditionalGIDs []uint32 `yaml:"additionalGids"`
}

// findCDI returns what a container needs for a device: the edits of its file
// and its own.
func findCDI(dirs []string, device string) ([]cdiEdits, error) {
	kind, name, _ := strings.Cut(device, "=")
	for _, dir := range slices.Backward(dirs) {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, entry := range entries {
			if ext := filepath.Ext(entry.Name()); ext != ".json" && ext != ".yaml" && ext != ".yml" {
				continue
			}
			file, err := readCDI(filepath.Join(dir, entry.Name()))
			if err != nil {
				return nil, err
			}
			if file.Kind != kind {
				continue
			}
			for _, d := range file.Devices {
				if d.Name == name {
					return []cdiEdits{file.Edits, d.Edits}, nil
				}
			}
		}
	}
	return nil, fmt.Errorf("CDI device injection failed: unresolvable CDI devices %s: no file in %s has it", device, strings.Join(dirs, " or "))
}

func readCDI(path string) (*cdiFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxCDIFile {
		return nil, fmt.Errorf("%s is no description of CDI devices: it is no file or larger than %d bytes", path, maxCDIFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file := new(cdiFile)
	lateinit.Open(lateinit.Files)
	if err := yaml.Unmarshal(data, file); err != nil { // JSON is YAML
		return nil, fmt.Errorf("%s is no description of CDI devices: %w", path, err)
	}
	return file, nil
}

// addCDI gives a container a device and all that comes with it.
func addCDI(dirs []string, d Device, spec *specs.Spec, add func(Device) error) error {
	all, err := findCDI(dirs, d.Source)
	if err != nil {
		return err
	}
	for _, e := range all {
		if len(e.Hooks) > 0 {
			return fmt.Errorf("CDI device %s wants the hook %s (%s) to be run, which this engine does not do: hand its nodes in with devices", d.Source, e.Hooks[0].Path, e.Hooks[0].Name)
		}
		spec.Process.Env = mergeEnv(spec.Process.Env, e.Env)
		for _, n := range e.DeviceNodes {
			node := Device{Source: n.HostPath, Target: n.Path, Permissions: n.Permissions}
			if node.Source == "" {
				node.Source = node.Target
			}
			if err := add(node); err != nil {
				return err
			}
		}
		for _, m := range e.Mounts {
			options := m.Options
			if len(options) == 0 {
				options = []string{"ro", "nosuid", "nodev"}
			}
			if !slices.Contains(options, "bind") && !slices.Contains(options, "rbind") {
				options = append([]string{"rbind", "rprivate"}, options...)
			}
			spec.Mounts = append(spec.Mounts, specs.Mount{Destination: m.ContainerPath, Type: "bind", Source: m.HostPath, Options: options})
		}
		spec.Process.User.AdditionalGids = append(spec.Process.User.AdditionalGids, e.AdditionalGIDs...)
	}
	return nil
}
