// Package spec reads Compose files into typed, validated data and the graph of
// their services. It knows no engine.
package spec

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/errdefs"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/paths"
	"github.com/compose-spec/compose-go/v2/types"

	"compose/internal/headroom"
)

// ErrNoFile says that no Compose file was named or found.
var ErrNoFile = errors.New("no configuration file provided: not found")

// Options say which project to load and how.
type Options struct {
	Files       []string // none: COMPOSE_FILE, or the default names in the working directory and above
	ProjectName string   // "": COMPOSE_PROJECT_NAME, the file's name, or the directory's
	ProjectDir  string   // "": that of the first file
	WorkingDir  string   // "": the process's
	EnvFiles    []string // none: .env
	Profiles    []string
	Services    []string // these and what they depend on; none: all
	Environ     []string // nil: the process's
	// Compatibility names containers and images with underscores: the project
	// then has COMPOSE_COMPATIBILITY in its environment.
	Compatibility bool
	// Remotes fetch files that are not of this host.
	Remotes      []loader.ResourceLoader
	AllResources bool // keep networks and volumes that no service uses
}

// Project is a loaded project. It is not to be changed.
type Project struct {
	*types.Project
	// Refused are the fields in use that keep services from being run.
	Refused []Refusal
}

// Warning is something in a file that is not an error.
type Warning struct {
	File         string
	Line, Column int
	Field        string
	Message      string
}

// String is the warning in one line, as a FileError is.
func (w Warning) String() string {
	return (&FileError{File: w.File, Line: w.Line, Column: w.Column, Field: w.Field, Message: w.Message}).Error()
}

// Load reads and validates the files of a project that is to be run.
func Load(ctx context.Context, o Options) (*Project, []Warning, error) {
	Begin()
	heard := listen()
	defer heard.stop()
	p, options, err := o.project(ctx, Skip{Environment: true})
	if err != nil {
		return nil, heard.warnings(), err
	}
	if _, err := graph(p.Services); err != nil {
		return nil, heard.warnings(), explain(err, options)
	}
	refusals := refused(p, options)
	if p, err = o.selected(p); err != nil {
		return nil, heard.warnings(), err
	}
	// Not before: a service that is left out may lack its files.
	resolved, err := p.WithServicesEnvironmentResolved(true)
	if err != nil {
		return nil, heard.warnings(), explain(err, options)
	}
	return &Project{Project: resolved, Refused: refusals}, append(heard.warnings(), warned(p, options)...), nil
}

// large is from how many bytes on the files of a project take more memory to load
// than the heap has at first: a line becomes some kilobytes.
const large = 512

func size(paths []string) (bytes int64) {
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil { // what cannot be read is told by who reads it
			bytes += info.Size()
		}
	}
	return bytes
}

// project loads the files, without the selection of services.
func (o Options) project(ctx context.Context, skip Skip) (*types.Project, *cli.ProjectOptions, error) {
	options, err := o.options(skip.steps())
	if err != nil {
		return nil, nil, err
	}
	if size(options.ConfigPaths) > large {
		headroom.Make()
	}
	if !skip.Interpolation && !skip.Normalization {
		// To find the name, the loader would parse all of the files once more.
		if options.Name, err = projectName(options); err != nil {
			return nil, nil, explain(err, options)
		}
	}
	p, err := options.LoadProject(ctx)
	if err != nil {
		return nil, nil, explain(asNoFile(err), options)
	}
	if p.Name == "" {
		return nil, nil, errors.New("the project has no name; give it one with -p or name")
	}
	return p, options, nil
}

// selected leaves the project with the services asked for and what they need.
func (o Options) selected(p *types.Project) (*types.Project, error) {
	if len(o.Services) > 0 {
		var err error
		if p, err = p.WithServicesEnabled(o.Services...); err != nil {
			return nil, err
		}
		if p, err = p.WithSelectedServices(o.Services); err != nil {
			return nil, err
		}
	}
	if o.AllResources {
		return p, nil
	}
	return p.WithoutUnnecessaryResources(), nil
}

// options are those of the loader, with the files found.
func (o Options) options(steps []cli.ProjectOptionsFn) (*cli.ProjectOptions, error) {
	environ := o.Environ
	if environ == nil {
		environ = os.Environ()
	}
	if !slices.ContainsFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, "PWD=") }) {
		wd, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		environ = append(slices.Clip(environ), "PWD="+wd)
	}
	dir := o.ProjectDir
	if dir == "" {
		dir = o.WorkingDir
	}
	envFiles := make([]string, len(o.EnvFiles))
	for i, file := range o.EnvFiles {
		envFiles[i] = paths.ExpandUser(file)
	}
	if o.Compatibility {
		environ = append(slices.Clip(environ), "COMPOSE_COMPATIBILITY=true")
	}
	for _, r := range o.Remotes {
		steps = append(steps, cli.WithResourceLoader(r))
	}
	options, err := cli.NewProjectOptions(o.Files, append(steps,
		cli.WithWorkingDirectory(dir),
		cli.WithEnv(environ),
		cli.WithEnvFiles(envFiles...),
		cli.WithDotEnv,
		cli.WithConfigFileEnv,
		cli.WithDefaultConfigPath,
		cli.WithEnvFiles(envFiles...),
		cli.WithDotEnv,
		cli.WithDefaultProfiles(o.Profiles...),
		cli.WithName(o.ProjectName),
	)...)
	if err != nil {
		return options, asNoFile(err)
	}
	withFewCasts(options)
	return options, nil
}

func asNoFile(err error) error {
	if err != nil && errdefs.IsNotFoundError(err) && err.Error() == ErrNoFile.Error() {
		return ErrNoFile
	}
	return err
}
