package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"compose/spec"
)

func newConfigCommand(app *App) *cobra.Command {
	var services, volumes, networks, images, profiles, environment, quiet bool
	var format, output, hash string
	cmd := &cobra.Command{
		Use:     "config [OPTIONS] [SERVICE...]",
		Aliases: []string{"convert"},
		Short:   "Print the Compose files as they are understood",
		RunE: func(cmd *cobra.Command, args []string) error {
			loaded, err := app.load(cmd.Context(), args)
			if err != nil {
				return err
			}
			p := loaded.Project
			var lines []string
			switch {
			case quiet:
				return nil
			case services:
				lines = p.ServiceNames()
			case volumes:
				lines = p.VolumeNames()
			case networks:
				lines = p.NetworkNames()
			case images:
				for _, name := range p.ServiceNames() {
					if image := p.Services[name].Image; image != "" {
						lines = append(lines, image)
					} else {
						lines = append(lines, p.Name+"-"+name)
					}
				}
			case profiles:
				for _, s := range p.AllServices() {
					lines = append(lines, s.Profiles...)
				}
				slices.Sort(lines)
				lines = slices.Compact(lines)
			case environment:
				for _, key := range slices.Sorted(maps.Keys(p.Environment)) {
					lines = append(lines, key+"="+p.Environment[key])
				}
			case hash != "":
				wanted := p.ServiceNames()
				if hash != "*" {
					wanted = strings.Split(hash, ",")
				}
				for _, name := range wanted {
					s, err := p.GetService(name)
					if err != nil {
						return err
					}
					lines = append(lines, name+" "+spec.ConfigHash(s))
				}
			default:
				return printConfig(app, loaded, format, output)
			}
			for _, l := range lines {
				fmt.Fprintln(app.Stdout, l)
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&services, "services", false, "Print the names of the services")
	fl.BoolVar(&volumes, "volumes", false, "Print the names of the volumes")
	fl.BoolVar(&networks, "networks", false, "Print the names of the networks")
	fl.BoolVar(&images, "images", false, "Print the names of the images")
	fl.BoolVar(&profiles, "profiles", false, "Print the names of the profiles")
	fl.BoolVar(&environment, "environment", false, "Print the variables for interpolation")
	fl.StringVar(&hash, "hash", "", `Print the services' hashes, of those named or "*"`)
	fl.BoolVarP(&quiet, "quiet", "q", false, "Only check the files")
	fl.StringVar(&format, "format", "yaml", `"yaml" or "json"`)
	fl.StringVarP(&output, "output", "o", "", "Write to a file")
	return cmd
}

func printConfig(app *App, p *spec.Project, format, output string) error {
	var data []byte
	var err error
	switch format {
	case "yaml", "":
		data, err = p.MarshalYAML()
	case "json":
		if data, err = p.MarshalJSON(); err == nil {
			data = append(data, '\n')
		}
	default:
		return fmt.Errorf("unsupported format %q: use yaml or json", format)
	}
	if err != nil {
		return err
	}
	if output != "" {
		return os.WriteFile(output, data, 0o644)
	}
	_, err = app.Stdout.Write(data)
	return err
}
