package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/orchestrator"
)

func newBuildCommand(app *App) *cobra.Command {
	var opts orchestrator.BuildOptions
	var args []string
	var progress string
	var withDependencies, push bool
	var ssh []string
	var builder, provenance, sbom, memory string
	var bake bool
	cmd := &cobra.Command{
		Use:   "build [OPTIONS] [SERVICE...]",
		Short: "Build or rebuild services",
		RunE: func(cmd *cobra.Command, services []string) error {
			opts.Args = types.MappingWithEquals{}
			for _, arg := range args {
				key, value, ok := strings.Cut(arg, "=")
				opts.Args[key] = nil
				if ok {
					opts.Args[key] = &value
				}
			}
			if progress != "" {
				app.Progress = progress
			}
			if opts.Quiet {
				app.Progress = render.ModeQuiet
			}
			if builder != "" && builder != "default" {
				return fmt.Errorf("--builder %s: there is one builder, the built-in one; leave the flag out", builder)
			}
			for flag, value := range map[string]string{"provenance": provenance, "sbom": sbom} {
				if on, err := strconv.ParseBool(value); value != "" && (err != nil || on) {
					return fmt.Errorf("--%s %s: no attestations are made; leave the flag out", flag, value)
				}
			}
			if memory != "" {
				app.warn("--memory has no effect: BuildKit does not know it either")
			}
			for _, text := range ssh {
				id, socket, ok := strings.Cut(text, "=")
				if !ok {
					socket = os.Getenv("SSH_AUTH_SOCK")
				}
				if opts.SSH == nil {
					opts.SSH = map[string]string{}
				}
				opts.SSH[id] = socket
			}
			app.onlyBuilds = true
			p, err := app.load(cmd.Context(), services)
			if err != nil {
				return err
			}
			if bake {
				return app.printBake(p.Project, services, withDependencies, opts, push)
			}
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			if withDependencies {
				services = nil
			}
			if err := s.Build(cmd.Context(), p.Project, services, opts); err != nil || !push || opts.Check {
				return err
			}
			return s.Push(cmd.Context(), p.Project, services, orchestrator.PushOptions{Quiet: opts.Quiet})
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&args, "build-arg", nil, "Set a build-time variable of the services")
	fl.BoolVar(&opts.NoCache, "no-cache", false, "Do not use the cache")
	fl.BoolVar(&opts.Pull, "pull", false, "Always look for a newer version of the base images")
	fl.BoolVarP(&opts.Quiet, "quiet", "q", false, "Do not show how the build goes on")
	fl.StringVar(&progress, "progress", "", `How progress is shown: "auto", "tty", "plain" or "quiet"`)
	fl.StringArrayVar(&ssh, "ssh", nil, "An SSH agent's socket, as default|ID[=SOCKET] (repeatable)")
	fl.BoolVar(&opts.Check, "check", false, "Check the Dockerfiles and build nothing")
	fl.BoolVar(&push, "push", false, "Push the images")
	fl.StringVar(&builder, "builder", "", "Accepted for compatibility: there is one builder")
	fl.StringVarP(&memory, "memory", "m", "", "Accepted for compatibility: BuildKit does not know it either")
	fl.StringVar(&provenance, "provenance", "", `"false", as no attestations are made`)
	fl.StringVar(&sbom, "sbom", "", `"false", as no attestations are made`)
	fl.BoolVar(&bake, "print", false, "Print the builds as a file for docker buildx bake, and build nothing")
	for _, name := range []string{"parallel", "compress", "force-rm", "no-rm"} {
		fl.Bool(name, false, "Deprecated, no effect")
		_ = fl.MarkHidden(name) // the flag exists
	}
	fl.BoolVar(&withDependencies, "with-dependencies", false, "Also build the services that these depend on")
	return cmd
}
