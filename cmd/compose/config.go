package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"compose/spec"
)

// configFlags are those of `config`.
type configFlags struct {
	format, output, hash                        string
	quiet, resolveDigests, lockDigests          bool
	services, volumes, networks, models, images bool
	profiles, variables, environment            bool
	skip                                        spec.Skip
}

func newConfigCommand(app *App) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use:     "config [OPTIONS] [SERVICE...]",
		Aliases: []string{"convert"},
		Short:   "Print the Compose files as they are understood",
		RunE: func(cmd *cobra.Command, services []string) error {
			f.skip.Normalization = f.skip.Normalization || app.Compatibility
			f.resolveDigests = f.resolveDigests || f.lockDigests
			c := &config{app: app, configFlags: f, ctx: cmd.Context(), selected: services}
			return c.print()
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.format, "format", "", `"yaml" or "json"; with --variables also "table"`)
	fl.BoolVar(&f.resolveDigests, "resolve-image-digests", false, "Replace the tags of images by the digests that their registries tell")
	fl.BoolVar(&f.lockDigests, "lock-image-digests", false, "Print an override file with nothing but the digests of images")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "Only check the files")
	fl.BoolVar(&f.skip.Interpolation, "no-interpolate", false, "Leave ${VARIABLES} as they are")
	fl.BoolVar(&f.skip.Normalization, "no-normalize", false, "Do not add what is implied")
	fl.BoolVar(&f.skip.PathResolution, "no-path-resolution", false, "Leave relative paths as they are")
	fl.BoolVar(&f.skip.Consistency, "no-consistency", false, "Do not check that what is referred to is there; the output may be no valid Compose file")
	fl.BoolVar(&f.skip.Environment, "no-env-resolution", false, "Do not read the services' env_file")
	fl.BoolVar(&f.services, "services", false, "Print the names of the services")
	fl.BoolVar(&f.volumes, "volumes", false, "Print the names of the volumes")
	fl.BoolVar(&f.networks, "networks", false, "Print the names of the networks")
	fl.BoolVar(&f.models, "models", false, "Print the names of the models")
	fl.BoolVar(&f.profiles, "profiles", false, "Print the names of the profiles")
	fl.BoolVar(&f.images, "images", false, "Print the names of the images")
	fl.StringVar(&f.hash, "hash", "", `Print the services' hashes, of those named or "*"`)
	fl.BoolVar(&f.variables, "variables", false, "Print the variables that the files use, and their defaults")
	fl.BoolVar(&f.environment, "environment", false, "Print the variables for interpolation")
	fl.StringVarP(&f.output, "output", "o", "", "Write to a file")
	return cmd
}

// project loads the files with their types.
func (c *config) project(services []string, skip spec.Skip) (*types.Project, error) {
	o := c.app.specOptions(services)
	o.Compatibility = false // nothing that files could name
	p, warnings, err := spec.Resolve(c.ctx, o, skip)
	c.warn(warnings)
	return p, err
}

// model loads the files as plain data.
func (c *config) model(skip spec.Skip) (map[string]any, error) {
	m, warnings, err := spec.Model(c.ctx, c.app.specOptions(nil), skip)
	c.warn(warnings)
	return m, err
}

func (c *config) warn(warnings []spec.Warning) {
	for _, w := range warnings {
		c.app.warn(w.String())
	}
}

// whole prints all of the project, or writes it to a file.
func (c *config) whole() error {
	switch c.format {
	case "", "yaml", "json":
	default:
		return fmt.Errorf("unsupported format %q: use yaml or json", c.format)
	}
	render := c.interpolated
	if c.skip.Interpolation {
		render = c.raw
	}
	data, err := render()
	if err != nil || c.quiet {
		return err
	}
	if c.output != "" {
		return os.WriteFile(c.output, data, 0o666)
	}
	_, err = c.app.Stdout.Write(data)
	return err
}

func (c *config) interpolated() ([]byte, error) {
	p, err := c.project(c.selected, c.skip)
	if err != nil {
		return nil, err
	}
	if c.resolveDigests {
		if p, err = p.WithImagesResolved(c.digest); err != nil {
			return nil, err
		}
	}
	if c.lockDigests {
		p = c.locked(p)
	}
	marshal := p.MarshalYAML
	if c.format == "json" {
		marshal = p.MarshalJSON
	}
	data, err := marshal()
	// What is printed is a Compose file again, where a dollar sign begins a variable.
	return bytes.ReplaceAll(data, []byte("$"), []byte("$$")), err
}

func (c *config) raw() ([]byte, error) {
	if len(c.selected) > 0 {
		c.app.warn("with --no-interpolate all services are printed, not only those named")
	}
	m, err := c.model(c.skip)
	if err != nil {
		return nil, err
	}
	if c.resolveDigests {
		if err := c.resolveModel(m); err != nil {
			return nil, err
		}
	}
	if c.lockDigests {
		c.lockModel(m)
	}
	if c.format == "json" {
		return json.MarshalIndent(m, "", "  ")
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	err = enc.Encode(m)
	return out.Bytes(), err
}
