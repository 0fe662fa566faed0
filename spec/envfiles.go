package spec

import (
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/dotenv"
)

// EnvFileVariables are the variables of the environment files of a project:
// those that are named, or the .env beside its files.
func EnvFileVariables(o Options) (map[string]string, error) {
	if _, _, ok := o.plain(); ok {
		return nil, nil // it has none
	}
	Begin()
	environ := o.Environ
	if environ == nil {
		environ = os.Environ()
	}
	options, err := cli.NewProjectOptions(o.Files,
		cli.WithWorkingDirectory(o.ProjectDir), cli.WithEnv(environ), cli.WithEnvFiles(o.EnvFiles...), cli.WithDotEnv)
	if err != nil {
		return nil, err
	}
	return dotenv.GetEnvFromFile(options.Environment, options.EnvFiles)
}
