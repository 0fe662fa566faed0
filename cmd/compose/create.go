package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"compose/orchestrator"
)

// createFlags are those that `up` and `create` have in common.
type createFlags struct {
	build, noBuild            bool
	pull                      string
	quietPull, quietBuild     bool
	forceRecreate, noRecreate bool
	removeOrphans             bool
	ignoreOrphans             bool
	scale                     []string
	timeout                   int
	timeoutSet                bool
	yes                       bool
}

func (f *createFlags) register(fl *pflag.FlagSet) {
	fl.BoolVar(&f.build, "build", false, "Build images first, also those that exist")
	fl.BoolVar(&f.noBuild, "no-build", false, "Never build an image")
	fl.StringVar(&f.pull, "pull", "", `When to pull images ("always", "missing", "never" or "build")`)
	fl.BoolVar(&f.quietPull, "quiet-pull", false, "Do not show the progress of pulls")
	fl.BoolVar(&f.quietBuild, "quiet-build", false, "Do not show the output of builds")
	fl.BoolVar(&f.forceRecreate, "force-recreate", false, "Recreate containers that are up to date too")
	fl.BoolVar(&f.noRecreate, "no-recreate", false, "Leave containers that exist as they are")
	fl.BoolVar(&f.removeOrphans, "remove-orphans", false, "Remove containers of services that the file does not have")
	fl.StringArrayVar(&f.scale, "scale", nil, "Run so many containers of a service, as SERVICE=NUM (repeatable)")
	fl.BoolVarP(&f.yes, "yes", "y", false, "Answer yes to all questions")
}

// changed notes which flags were given, and takes defaults from the environment.
func (f *createFlags) changed(cmd *cobra.Command) {
	f.timeoutSet = cmd.Flags().Changed("timeout")
	if !cmd.Flags().Changed("remove-orphans") {
		f.removeOrphans = envBool("COMPOSE_REMOVE_ORPHANS")
	}
}

func (f *createFlags) check() error {
	switch {
	case f.build && f.noBuild:
		return errors.New("--build and --no-build are incompatible")
	case f.forceRecreate && f.noRecreate:
		return errors.New("--force-recreate and --no-recreate are incompatible")
	case f.pull == "policy": // that is the default
		f.pull = ""
	case f.pull != "" && !slices.Contains([]string{"always", "missing", "if_not_present", "never", "build"}, f.pull):
		return fmt.Errorf("invalid --pull option %q", f.pull)
	}
	return nil
}

// apply gives the project what --pull, --build and --scale say.
func (f *createFlags) apply(p *types.Project) (*types.Project, error) {
	if f.ignoreOrphans = ignoresOrphans(p); f.ignoreOrphans && f.removeOrphans {
		return nil, errors.New("cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans")
	}
	scale := map[string]int{}
	for _, opt := range f.scale {
		name, num, ok := strings.Cut(opt, "=")
		n, err := strconv.Atoi(num)
		if !ok || err != nil || n < 0 {
			return nil, fmt.Errorf("invalid --scale option %q. Should be SERVICE=NUM", opt)
		}
		if _, ok := p.Services[name]; !ok {
			return nil, orchestrator.NoSuchServiceError(name)
		}
		scale[name] = n
	}
	return changeServices(p, func(s *types.ServiceConfig) {
		if f.pull != "" {
			s.PullPolicy = f.pull
		}
		if f.build && s.Build != nil {
			s.PullPolicy = types.PullPolicyBuild
		}
		if n, ok := scale[s.Name]; ok {
			if s.Deploy != nil {
				deploy := *s.Deploy
				s.Deploy = &deploy
			}
			s.SetScale(n)
		}
	}), nil
}

// ignoresOrphans says whether COMPOSE_IGNORE_ORPHANS, which may also be in .env,
// wants no word of containers of services that are no more.
func ignoresOrphans(p *types.Project) bool {
	v, _ := strconv.ParseBool(p.Environment["COMPOSE_IGNORE_ORPHANS"])
	return v
}

// changeServices is the project with its services changed; the given one
// stays as it is.
func changeServices(p *types.Project, change func(*types.ServiceConfig)) *types.Project {
	q := *p
	q.Services = make(types.Services, len(p.Services))
	for name, s := range p.Services {
		change(&s)
		q.Services[name] = s
	}
	return &q
}

func (f *createFlags) reconcile(app *App, services []string) orchestrator.ReconcileOptions {
	o := orchestrator.ReconcileOptions{Services: services, AllResources: app.AllResources, RemoveOrphans: f.removeOrphans, IgnoreOrphans: f.ignoreOrphans, Timeout: f.stopWithin()}
	switch {
	case f.forceRecreate:
		o.Recreate = orchestrator.RecreateForce
	case f.noRecreate:
		o.Recreate, o.RecreateDeps = orchestrator.RecreateNever, orchestrator.RecreateNever
	}
	return o
}

func (f *createFlags) images(app *App) orchestrator.ImageOptions {
	return orchestrator.ImageOptions{
		NoBuild:   f.noBuild,
		QuietPull: f.quietPull,
		Build:     orchestrator.BuildOptions{Quiet: f.quietBuild || f.quietPull},
	}
}

func (f *createFlags) stopWithin() *time.Duration { return seconds(f.timeout, f.timeoutSet) }

func newCreateCommand(app *App) *cobra.Command {
	f := &createFlags{}
	cmd := &cobra.Command{
		Use:   "create [OPTIONS] [SERVICE...]",
		Short: "Create containers without starting them",
		RunE: func(cmd *cobra.Command, args []string) error {
			f.changed(cmd)
			if err := f.check(); err != nil {
				return err
			}
			p, err := app.selectedProject(cmd.Context(), args, false)
			if err != nil {
				return err
			}
			if p, err = f.apply(p); err != nil {
				return err
			}
			opts := orchestrator.UpOptions{ReconcileOptions: f.reconcile(app, args), Images: f.images(app)}
			opts.NoStart = true
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			return s.Up(cmd.Context(), p, opts)
		},
	}
	f.register(cmd.Flags())
	return cmd
}
