package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"compose/engine/image"
)

// digest asks a registry what a name stands for.
func (c *config) digest(named reference.Named) (digest.Digest, error) {
	r, err := c.app.roots()
	if err != nil {
		return "", err
	}
	return image.RemoteDigest(c.ctx, r.State, named.String())
}

// locked is a project with nothing in it but images.
func (c *config) locked(p *types.Project) *types.Project {
	out := &types.Project{Services: types.Services{}}
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		if slices.ContainsFunc(s.PreStart, func(h types.PreStartHook) bool { return h.Image != "" }) {
			c.warnOfHooks(name)
		}
		out.Services[name] = types.ServiceConfig{ContainerSpec: types.ContainerSpec{Image: s.Image, Volumes: imageVolumes(s.Volumes)}}
	}
	for name, j := range p.Jobs {
		if out.Jobs == nil {
			out.Jobs = types.Jobs{}
		}
		out.Jobs[name] = types.JobConfig{ContainerSpec: types.ContainerSpec{Image: j.Image, Volumes: imageVolumes(j.Volumes)}}
	}
	return out
}

func imageVolumes(volumes []types.ServiceVolumeConfig) []types.ServiceVolumeConfig {
	var out []types.ServiceVolumeConfig
	for _, v := range volumes {
		if v.Type == types.VolumeTypeImage {
			out = append(out, v)
		}
	}
	return out
}

// warnOfHooks says what an override file cannot do: merged, it would add the
// hooks once more.
func (c *config) warnOfHooks(service string) {
	c.app.warn(fmt.Sprintf("service %q: the images of pre_start hooks are left out of the file that --lock-image-digests prints; --resolve-image-digests pins them", service))
}

// resolveModel pins the images in a model that has no types.
func (c *config) resolveModel(model map[string]any) error {
	for _, section := range []string{"services", "jobs"} {
		entries := entriesOf(model, section)
		// The loader knows how to resolve a project's images.
		p := &types.Project{Services: types.Services{}}
		for name, entry := range entries {
			s := types.ServiceConfig{}
			s.Image, _ = entry["image"].(string)
			for _, hook := range mappings(entry["pre_start"]) {
				h := types.PreStartHook{}
				h.Image, _ = hook["image"].(string)
				s.PreStart = append(s.PreStart, h)
			}
			for _, v := range modelImageVolumes(entry) {
				source, _ := v["source"].(string)
				s.Volumes = append(s.Volumes, types.ServiceVolumeConfig{Type: types.VolumeTypeImage, Source: source})
			}
			p.Services[name] = s
		}
		p, err := p.WithImagesResolved(c.digest)
		if err != nil {
			return err
		}
		for name, entry := range entries {
			s := p.Services[name]
			pin(entry, "image", s.Image)
			for i, hook := range mappings(entry["pre_start"]) {
				pin(hook, "image", s.PreStart[i].Image)
			}
			for i, v := range modelImageVolumes(entry) {
				pin(v, "source", s.Volumes[i].Source)
			}
		}
	}
	return nil
}

func pin(entry map[string]any, field, image string) {
	if image != "" {
		entry[field] = image
	}
}

// lockModel leaves nothing in a model but images.
func (c *config) lockModel(model map[string]any) {
	services := entriesOf(model, "services")
	for _, name := range slices.Sorted(maps.Keys(services)) {
		if slices.ContainsFunc(mappings(services[name]["pre_start"]), func(hook map[string]any) bool { return hook["image"] != nil }) {
			c.warnOfHooks(name)
		}
	}
	maps.DeleteFunc(model, func(section string, _ any) bool { return section != "services" && section != "jobs" })
	for section := range model {
		for _, entry := range entriesOf(model, section) {
			volumes := modelImageVolumes(entry)
			maps.DeleteFunc(entry, func(field string, _ any) bool { return field != "image" })
			if len(volumes) > 0 {
				entry["volumes"] = volumes
			}
		}
	}
}

// entriesOf are the services or jobs of a model.
func entriesOf(model map[string]any, section string) map[string]map[string]any {
	out := map[string]map[string]any{}
	entries, _ := model[section].(map[string]any)
	for name, e := range entries {
		if entry, ok := e.(map[string]any); ok {
			out[name] = entry
		}
	}
	return out
}

func modelImageVolumes(entry map[string]any) []map[string]any {
	return slices.DeleteFunc(mappings(entry["volumes"]), func(v map[string]any) bool { return v["type"] != types.VolumeTypeImage })
}

// mappings are the mappings in a list.
func mappings(list any) []map[string]any {
	var out []map[string]any
	entries, _ := list.([]any)
	for _, e := range entries {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}
