package engine

import (
	"cmp"
	"errors"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// merge fills what spec leaves open from the image's configuration, as Docker
// combines the two.
func merge(spec ContainerSpec, config ocispec.ImageConfig) (ContainerSpec, error) {
	if spec.Entrypoint == nil {
		spec.Entrypoint = config.Entrypoint
		if spec.Command == nil {
			spec.Command = config.Cmd
		}
	}
	if len(spec.Entrypoint)+len(spec.Command) == 0 {
		return spec, errors.New("no command specified")
	}
	if spec.User == "" {
		spec.User = config.User
	}
	if spec.WorkingDir == "" {
		spec.WorkingDir = config.WorkingDir
	}
	if spec.WorkingDir == "" {
		spec.WorkingDir = "/"
	}
	if spec.StopSignal == "" {
		spec.StopSignal = config.StopSignal
	}
	spec.Env = mergeEnv(config.Env, spec.Env)
	labels := maps.Clone(config.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, spec.Labels)
	spec.Labels = labels
	for port := range config.ExposedPorts {
		if !slices.Contains(spec.Expose, port) {
			spec.Expose = append(spec.Expose, port)
		}
	}
	sort.Strings(spec.Expose)

	var volumes []string
	for v := range config.Volumes {
		volumes = append(volumes, v)
	}
	sort.Strings(volumes)
	for _, v := range volumes {
		target := path.Clean("/" + v)
		if !slices.ContainsFunc(spec.Mounts, func(m Mount) bool { return path.Clean(m.Target) == target }) {
			spec.Mounts = append(spec.Mounts, Mount{Type: "volume", Target: target})
		}
	}
	return spec, nil
}

// mergeHealth gives a healthcheck what it leaves open from that of the image.
func mergeHealth(h, image *Healthcheck) *Healthcheck {
	if h == nil || image == nil {
		return cmp.Or(h, image)
	}
	merged := *h
	if len(merged.Test) == 0 {
		merged.Test = image.Test
	}
	merged.Interval = cmp.Or(merged.Interval, image.Interval)
	merged.Timeout = cmp.Or(merged.Timeout, image.Timeout)
	merged.StartPeriod = cmp.Or(merged.StartPeriod, image.StartPeriod)
	merged.StartInterval = cmp.Or(merged.StartInterval, image.StartInterval)
	merged.Retries = cmp.Or(merged.Retries, image.Retries)
	return &merged
}

// mergeEnv puts over on top of base. "K" alone in over takes K away.
func mergeEnv(base, over []string) []string {
	var order []string
	values := map[string]string{}
	for _, kv := range append(slices.Clone(base), over...) {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			delete(values, key)
			continue
		}
		if !slices.Contains(order, key) {
			order = append(order, key)
		}
		values[key] = value
	}
	var env []string
	for _, key := range order {
		if value, ok := values[key]; ok {
			env = append(env, key+"="+value)
		}
	}
	return env
}
