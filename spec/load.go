// Package spec reads Compose files into typed, validated data and the graph of
// their services. It knows no engine.
package spec

import (
	"context"
	"errors"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/errdefs"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
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
	// Compatibility is Docker Compose's --compatibility.
	Compatibility bool
}

// Project is a loaded project. It is not to be changed.
type Project struct {
	*types.Project
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

// Load reads and validates the files of a project.
func Load(ctx context.Context, o Options) (*Project, []Warning, error) {
	options, err := o.options()
	if err != nil {
		return nil, nil, err
	}
	if options.Name, err = projectName(options); err != nil {
		return nil, nil, err
	}
	p, err := options.LoadProject(ctx)
	if err != nil {
		return nil, nil, explain(asNoFile(err), options)
	}
	if _, err := graph(p.Services); err != nil {
		return nil, nil, explain(err, options)
	}
	warnings := unsupported(p, options)
	if p, err = p.WithServicesEnvironmentResolved(true); err != nil {
		return nil, nil, explain(err, options)
	}
	if len(o.Services) > 0 {
		if p, err = p.WithServicesEnabled(o.Services...); err != nil {
			return nil, nil, err
		}
		if p, err = p.WithSelectedServices(o.Services); err != nil {
			return nil, nil, err
		}
	}
	return &Project{Project: p.WithoutUnnecessaryResources()}, warnings, nil
}

// options are those of the loader, with the files found.
func (o Options) options() (*cli.ProjectOptions, error) {
	// What the loader has to say comes as warnings and errors.
	logrus.SetLevel(logrus.ErrorLevel)
	environ := o.Environ
	if environ == nil {
		environ = os.Environ()
	}
	dir := o.ProjectDir
	if dir == "" {
		dir = o.WorkingDir
	}
	wd, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	options, err := cli.NewProjectOptions(o.Files,
		cli.WithoutEnvironmentResolution,
		cli.WithWorkingDirectory(dir),
		cli.WithEnv(environ),
		cli.WithEnv([]string{"PWD=" + wd}),
		cli.WithEnvFiles(o.EnvFiles...),
		cli.WithDotEnv,
		cli.WithConfigFileEnv,
		cli.WithDefaultConfigPath,
		cli.WithEnvFiles(o.EnvFiles...),
		cli.WithDotEnv,
		cli.WithDefaultProfiles(o.Profiles...),
		cli.WithName(o.ProjectName),
	)
	return options, asNoFile(err)
}

func asNoFile(err error) error {
	if err != nil && errdefs.IsNotFoundError(err) && err.Error() == ErrNoFile.Error() {
		return ErrNoFile
	}
	return err
}
