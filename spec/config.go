package spec

import (
	"context"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// Skip says which steps of loading to leave out, so that a user can look at
// the files as they are before those steps.
type Skip struct {
	Interpolation  bool // ${VARIABLE} stays
	Normalization  bool // what is implied stays unsaid
	PathResolution bool // relative paths stay relative
	Consistency    bool // references may lead nowhere
	Environment    bool // env_file stays, unread
	Validation     bool // any YAML will do
}

func (s Skip) steps() []cli.ProjectOptionsFn {
	steps := []cli.ProjectOptionsFn{
		cli.WithInterpolation(!s.Interpolation),
		cli.WithNormalization(!s.Normalization),
		cli.WithResolvedPaths(!s.PathResolution),
		cli.WithConsistency(!s.Consistency),
		cli.WithDiscardEnvFile,
	}
	if s.Environment {
		steps = append(steps, cli.WithoutEnvironmentResolution)
	}
	if s.Validation {
		steps = append(steps, cli.WithLoadOptions(loader.WithSkipValidation))
	}
	return steps
}

// Resolve loads a project that is to be shown, as typed data. Fields that are
// refused when it is run are none of its concern.
func Resolve(ctx context.Context, o Options, skip Skip) (*types.Project, []Warning, error) {
	Begin()
	heard := listen()
	defer heard.stop()
	p, options, err := o.project(ctx, skip)
	if err != nil {
		return nil, heard.warnings(), err
	}
	if p, err = o.selected(p); err != nil {
		return nil, heard.warnings(), err
	}
	if len(o.Services) > 0 && !skip.Environment {
		// Naming a service switches on its profiles: it was not looked at before.
		resolved, err := p.WithServicesEnvironmentResolved(true)
		if err != nil {
			return nil, heard.warnings(), explain(err, options)
		}
		p = resolved
	}
	if !skip.Consistency {
		if err := p.CheckContainerNameUnicity(); err != nil {
			return nil, heard.warnings(), explain(err, options)
		}
	}
	return p, append(heard.warnings(), warned(p, options)...), nil
}

// Model loads the files, merged, as plain data: all services, with extensions
// and without the defaults of types.
func Model(ctx context.Context, o Options, skip Skip) (map[string]any, []Warning, error) {
	Begin()
	heard := listen()
	defer heard.stop()
	options, err := o.options(skip.steps())
	if err != nil {
		return nil, heard.warnings(), err
	}
	model, err := options.LoadModel(ctx)
	if err != nil {
		return nil, heard.warnings(), explain(asNoFile(err), options)
	}
	return model, heard.warnings(), nil
}
