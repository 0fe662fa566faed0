package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine/build"
	"compose/orchestrator"
)

// bakeFile is what `docker buildx bake` reads.
type bakeFile struct {
	Group  map[string]bakeGroup  `json:"group"`
	Target map[string]bakeTarget `json:"target"`
}

type bakeGroup struct {
	Targets []string `json:"targets"`
}

type bakeTarget struct {
	Context          string            `json:"context,omitempty"`
	Contexts         map[string]string `json:"contexts,omitempty"`
	Dockerfile       string            `json:"dockerfile,omitempty"`
	DockerfileInline string            `json:"dockerfile-inline,omitempty"`
	Args             map[string]string `json:"args,omitempty"`
	Labels           map[string]string `json:"labels,omitempty"`
	Tags             []string          `json:"tags,omitempty"`
	CacheFrom        []string          `json:"cache-from,omitempty"`
	CacheTo          []string          `json:"cache-to,omitempty"`
	Target           string            `json:"target,omitempty"`
	Secrets          []string          `json:"secret,omitempty"`
	SSH              []string          `json:"ssh,omitempty"`
	Platforms        []string          `json:"platforms,omitempty"`
	Pull             bool              `json:"pull,omitempty"`
	NoCache          bool              `json:"no-cache,omitempty"`
	Network          string            `json:"network,omitempty"`
	NoCacheFilter    []string          `json:"no-cache-filter,omitempty"`
	ShmSize          types.UnitBytes   `json:"shm-size,omitempty"`
	Ulimits          []string          `json:"ulimits,omitempty"`
	Call             string            `json:"call,omitempty"`
	Entitlements     []string          `json:"entitlements,omitempty"`
	ExtraHosts       map[string]string `json:"extra-hosts,omitempty"`
	Outputs          []string          `json:"output,omitempty"`
}

// printBake prints the builds of services as a bake file: a target for every
// service that is built, as one may be another's context, and a group of those
// that are asked for.
func (app *App) printBake(p *types.Project, services []string, deps bool, opts orchestrator.BuildOptions, push bool) error {
	file := bakeFile{Group: map[string]bakeGroup{}, Target: map[string]bakeTarget{}}
	names := map[string]string{} // service -> target: names of targets have no dots
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		target := strings.ReplaceAll(name, ".", "_")
		for slices.Contains(slices.Collect(maps.Values(names)), target) {
			target += "_"
		}
		names[name] = target
	}
	group := bakeGroup{Targets: []string{}}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		s := p.Services[name]
		if s.Build == nil {
			continue
		}
		file.Target[names[name]] = newBakeTarget(p, s, names, opts, push)
		if deps || len(services) == 0 || slices.Contains(services, name) {
			group.Targets = append(group.Targets, names[name])
		}
	}
	file.Group["default"] = group
	out := json.NewEncoder(app.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(file)
}

func newBakeTarget(p *types.Project, s types.ServiceConfig, names map[string]string, opts orchestrator.BuildOptions, push bool) bakeTarget {
	b := s.Build
	literal := func(text string) string { return strings.ReplaceAll(text, "${", "$${") } // bake would replace it
	t := bakeTarget{
		Context: b.Context, Dockerfile: b.Dockerfile, DockerfileInline: literal(b.DockerfileInline), Target: b.Target,
		Tags: append(slices.Clone(b.Tags), orchestrator.ImageName(p, s)), CacheFrom: b.CacheFrom, CacheTo: b.CacheTo,
		Platforms: b.Platforms, Pull: b.Pull || opts.Pull, NoCache: b.NoCache || opts.NoCache, Network: b.Network,
		NoCacheFilter: b.NoCacheFilter, ShmSize: b.ShmSize, Entitlements: slices.Clone(b.Entitlements), Outputs: []string{"type=docker"},
		Args: map[string]string{}, Labels: map[string]string{}, Contexts: map[string]string{}, ExtraHosts: map[string]string{},
	}
	if t.Dockerfile != "" && !build.IsRemote(b.Context) && !filepath.IsAbs(t.Dockerfile) {
		t.Dockerfile = filepath.Join(b.Context, t.Dockerfile)
	}
	for name, where := range b.AdditionalContexts {
		if service, ok := strings.CutPrefix(where, types.ServicePrefix); ok {
			where = "target:" + names[service]
		}
		t.Contexts[name] = where
	}
	for _, args := range []types.MappingWithEquals{b.Args, opts.Args} {
		for k, v := range args.Resolve(func(k string) (string, bool) { v, ok := p.Environment[k]; return v, ok }) {
			if v != nil {
				t.Args[k] = literal(*v)
			}
		}
	}
	maps.Copy(t.Labels, b.Labels)
	t.Labels[orchestrator.LabelProject], t.Labels[orchestrator.LabelService] = p.Name, s.Name
	for host, addresses := range b.ExtraHosts {
		t.ExtraHosts[host] = strings.Join(addresses, ",")
	}
	if b.Privileged {
		t.Entitlements = append(t.Entitlements, "security.insecure")
	}
	for name, u := range b.Ulimits {
		limit := fmt.Sprintf("%s=%d:%d", name, u.Soft, u.Hard)
		if u.Single > 0 {
			limit = fmt.Sprintf("%s=%d", name, u.Single)
		}
		t.Ulimits = append(t.Ulimits, limit)
	}
	slices.Sort(t.Ulimits)
	for _, key := range b.SSH {
		t.SSH = append(t.SSH, key.ID+"="+key.Path)
	}
	for _, id := range slices.Sorted(maps.Keys(opts.SSH)) {
		t.SSH = append(t.SSH, id+"="+opts.SSH[id])
	}
	for _, ref := range b.Secrets {
		id := ref.Target
		if id == "" {
			id = ref.Source
		}
		switch secret := p.Secrets[ref.Source]; {
		case secret.Environment != "":
			t.Secrets = append(t.Secrets, "id="+id+",type=env,env="+secret.Environment)
		case secret.File != "":
			t.Secrets = append(t.Secrets, "id="+id+",type=file,src="+secret.File)
		}
	}
	switch {
	case opts.Check:
		t.Outputs, t.Call = nil, "lint"
	case push && s.Image != "":
		t.Outputs = []string{"type=registry"}
	}
	return t
}
