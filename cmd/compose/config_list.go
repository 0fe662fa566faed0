package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"compose/spec"
)

// config is one `config` at work.
type config struct {
	configFlags
	app      *App
	ctx      context.Context
	selected []string
}

// print prints what the flags ask for. Of several lists the first counts, in
// Docker Compose's order.
func (c *config) print() error {
	noEnv := c.skip
	noEnv.Environment = true
	switch {
	case c.services && c.skip.Interpolation:
		m, err := c.model(noEnv)
		if err != nil {
			return err
		}
		services, _ := m["services"].(map[string]any)
		return c.lines(slices.Sorted(maps.Keys(services)))
	case c.services:
		return c.list(nil, noEnv, dependenciesFirst)
	case c.volumes:
		return c.list(nil, noEnv, (*types.Project).VolumeNames)
	case c.networks:
		return c.list(nil, noEnv, (*types.Project).NetworkNames)
	case c.models:
		return c.list(nil, noEnv, modelNames)
	case c.hash != "":
		return c.hashes(noEnv)
	case c.profiles:
		return c.list(c.selected, c.skip, profileNames)
	case c.images:
		return c.list(c.selected, c.skip, c.imageNames)
	case c.variables:
		return c.printVariables(noEnv)
	case c.environment:
		return c.list(c.selected, c.skip, environmentLines)
	}
	return c.whole()
}

// environmentLines are the variables of the project. One that a secret is made
// of keeps its value to itself.
func environmentLines(p *types.Project) []string {
	shown := types.Mapping{}
	for name, value := range p.Environment {
		shown[name] = value
	}
	for _, s := range p.Secrets {
		if _, ok := shown[s.Environment]; ok && s.Environment != "" {
			shown[s.Environment] = "<secret>"
		}
	}
	return shown.Values()
}

// list prints names in a project.
func (c *config) list(services []string, skip spec.Skip, names func(*types.Project) []string) error {
	p, err := c.project(services, skip)
	if err != nil {
		return err
	}
	return c.lines(names(p))
}

func (c *config) lines(lines []string) error {
	for _, l := range lines {
		if _, err := fmt.Fprintln(c.app.Stdout, l); err != nil {
			return err
		}
	}
	return nil
}

// dependenciesFirst are the services' names, each behind those it depends on.
func dependenciesFirst(p *types.Project) []string {
	var out []string
	seen := map[string]bool{}
	var visit func(names []string)
	visit = func(names []string) {
		for _, name := range names {
			s, ok := p.Services[name]
			if !ok || seen[name] {
				continue
			}
			seen[name] = true
			visit(slices.Sorted(maps.Keys(s.DependsOn)))
			out = append(out, name)
		}
	}
	visit(p.ServiceNames())
	return out
}

func modelNames(p *types.Project) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(p.Models)) {
		if m := p.Models[key].Model; m != "" {
			out = append(out, m)
		}
	}
	return out
}

func profileNames(p *types.Project) []string {
	var out []string
	for _, s := range p.AllServices() {
		out = append(out, s.Profiles...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// imageNames are the images that the project needs, those to be built under
// the name that they get.
func (c *config) imageNames(p *types.Project) []string {
	separator := "-"
	if old, _ := strconv.ParseBool(p.Environment["COMPOSE_COMPATIBILITY"]); old || c.app.Compatibility {
		separator = "_"
	}
	var out []string
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		image := s.Image
		if image == "" {
			image = p.Name + separator + name
		}
		out = append(out, image)
		for _, hook := range s.PreStart {
			if hook.Image != "" && hook.Image != image {
				out = append(out, hook.Image)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Jobs)) {
		image := p.Jobs[name].Image
		if image == "" {
			image = p.Name + separator + name
		}
		out = append(out, image)
	}
	return out
}

// hashes prints what tells whether a service's containers are up to date.
func (c *config) hashes(noEnv spec.Skip) error {
	p, err := c.project(nil, noEnv)
	if err != nil {
		return err
	}
	var wanted []string
	if c.hash != "*" {
		wanted = strings.Split(c.hash, ",")
	}
	if p, err = p.WithSelectedServices(wanted, types.IgnoreDependencies); err != nil {
		return err
	}
	if !c.skip.Environment {
		if p, err = p.WithServicesEnvironmentResolved(true); err != nil {
			return err
		}
	}
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		if s.Build != nil && s.Platform == "" {
			s.Platform = p.Environment["DOCKER_DEFAULT_PLATFORM"]
		}
		if _, err := fmt.Fprintln(c.app.Stdout, name, spec.ConfigHash(s)); err != nil {
			return err
		}
	}
	return nil
}

// printVariables prints the variables that the files use.
func (c *config) printVariables(skip spec.Skip) error {
	skip.Interpolation, skip.Validation = true, true
	if len(c.selected) > 0 {
		c.app.warn("with --variables those of all services are printed, not only of those named")
	}
	m, err := c.model(skip)
	if err != nil {
		return err
	}
	variables := template.ExtractVariables(m, template.DefaultPattern)
	switch strings.ToLower(c.format) {
	case "yaml":
		data, err := yaml.Marshal(variables)
		if err != nil {
			return err
		}
		_, err = c.app.Stdout.Write(data)
		return err
	case "json":
		enc := json.NewEncoder(c.app.Stdout)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "    ")
		if err := enc.Encode(variables); err != nil {
			return err
		}
		return c.lines([]string{""}) // as Docker Compose does
	case "", "table", "pretty":
	default:
		return fmt.Errorf("unsupported format %q: use table, yaml or json", c.format)
	}
	w := tabwriter.NewWriter(c.app.Stdout, 20, 1, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tREQUIRED\tDEFAULT VALUE\tALTERNATE VALUE")
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		v := variables[name]
		fmt.Fprintf(w, "%s\t%t\t%s\t%s\n", name, v.Required, v.DefaultValue, v.PresenceValue)
	}
	return w.Flush()
}
