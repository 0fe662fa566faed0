package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/mattn/go-shellwords"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"compose/cmd/compose/render"
	"compose/orchestrator"
)

type runFlags struct {
	createFlags
	orchestrator.RunOptions
	detach, noTTY, interactive, servicePorts, quiet bool
	env, envFiles, labels, volumes, publish         []string
	capAdd, capDrop                                 []string
	user, workdir, entrypoint                       string
	entrypointSet                                   bool
	command                                         []string
}

func newRunCommand(app *App) *cobra.Command {
	f := &runFlags{}
	var tty bool
	cmd := &cobra.Command{
		Use:   "run [OPTIONS] SERVICE [COMMAND] [ARG...]",
		Short: "Run a one-off command in a container of its own",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.changed(cmd)
			f.Service, f.command = args[0], args[1:]
			f.entrypointSet = cmd.Flags().Changed("entrypoint")
			if len(f.publish) > 0 && f.servicePorts {
				return errors.New("--service-ports and --publish are incompatible")
			}
			if err := f.check(); err != nil {
				return err
			}
			switch {
			case cmd.Flags().Changed("tty") && cmd.Flags().Changed("no-tty"):
				return errors.New("--tty and --no-tty can't be used together")
			case cmd.Flags().Changed("tty"):
				f.noTTY = !tty
			default:
				f.noTTY = f.noTTY || !term.IsTerminal(int(app.Stdout.Fd())) || !term.IsTerminal(int(app.Stdin.Fd()))
			}
			f.env = app.resolveProjectEnv(f.env)
			if f.quiet {
				app.Progress = render.ModeQuiet
			}
			return runRun(cmd, app, f)
		},
	}
	fl := cmd.Flags()
	fl.BoolVarP(&f.detach, "detach", "d", false, "Leave the container running and print its ID")
	fl.StringArrayVarP(&f.env, "env", "e", nil, "Set an environment variable (repeatable)")
	fl.StringArrayVar(&f.envFiles, "env-from-file", nil, "Set environment variables from a file (repeatable)")
	fl.StringArrayVarP(&f.labels, "label", "l", nil, "Add or change a label, as KEY=VALUE (repeatable)")
	fl.BoolVar(&f.AutoRemove, "rm", false, "Remove the container when it has ended")
	fl.BoolVarP(&f.noTTY, "no-tty", "T", false, "Do not give the command a terminal")
	fl.StringVar(&f.Name, "name", "", "The container's name")
	fl.StringVarP(&f.user, "user", "u", "", "Run as this user")
	fl.StringVarP(&f.workdir, "workdir", "w", "", "Run in this directory of the container")
	fl.StringVar(&f.entrypoint, "entrypoint", "", "In the place of the image's entrypoint")
	fl.StringArrayVar(&f.capAdd, "cap-add", nil, "Add a capability (repeatable)")
	fl.StringArrayVar(&f.capDrop, "cap-drop", nil, "Take a capability away (repeatable)")
	fl.BoolVar(&f.NoDeps, "no-deps", false, "Do not start the services it depends on")
	fl.StringArrayVarP(&f.volumes, "volume", "v", nil, "Mount a volume (repeatable)")
	fl.StringArrayVarP(&f.publish, "publish", "p", nil, "Publish a port (repeatable)")
	fl.BoolVar(&f.UseAliases, "use-aliases", false, "Answer to the service's names on its networks")
	fl.BoolVarP(&f.servicePorts, "service-ports", "P", false, "Publish the service's ports")
	fl.StringVar(&f.pull, "pull", "", `When to pull images ("always", "missing" or "never")`)
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "Show no progress")
	fl.BoolVar(&f.quietBuild, "quiet-build", false, "Do not show the output of builds")
	fl.BoolVar(&f.quietPull, "quiet-pull", false, "Do not show the progress of pulls")
	fl.BoolVar(&f.build, "build", false, "Build the image first")
	fl.BoolVar(&f.removeOrphans, "remove-orphans", false, "Remove containers of services that the file does not have")
	fl.BoolVarP(&f.interactive, "interactive", "i", true, "Keep standard input open")
	fl.BoolVarP(&tty, "tty", "t", true, "Give the command a terminal")
	_ = fl.MarkHidden("tty") // the flag exists
	fl.SetInterspersed(false)
	fl.SetNormalizeFunc(legacyNames)
	return cmd
}

func runRun(cmd *cobra.Command, app *App, f *runFlags) error {
	ctx := cmd.Context()
	p, err := app.selectedProject(ctx, []string{f.Service}, false)
	if err != nil {
		return err
	}
	if err := app.askForRemote(ctx, p, false); err != nil {
		return err
	}
	if p, err = f.createFlags.apply(p); err != nil {
		return err
	}
	var changeErr error
	p = changeServices(p, func(s *types.ServiceConfig) {
		if s.Name == f.Service {
			changeErr = f.change(s)
		}
	})
	if changeErr != nil {
		return changeErr
	}
	f.Images, f.Orphans = f.images(app), f.removeOrphans
	s, err := app.session(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	c, err := s.CreateOneOff(ctx, p, f.RunOptions)
	if err != nil || app.DryRun {
		return err
	}
	s.close()
	if f.detach {
		if err := exitOf(s.RunOneOff(ctx, c, nil)); err != nil {
			return err
		}
		fmt.Fprintln(app.Stdout, c.ID)
		return nil
	}
	con, err := app.connect(!f.noTTY, f.interactive)
	if err != nil {
		return err
	}
	defer con.done()
	return exitOf(s.RunOneOff(context.WithoutCancel(ctx), c, &con.streams))
}

// change gives the service what the flags say of its one-off container.
func (f *runFlags) change(s *types.ServiceConfig) error {
	s.Tty, s.StdinOpen = !f.noTTY && !f.detach, f.interactive && !f.detach
	s.Restart, s.ContainerName = "", ""
	if s.Deploy != nil {
		deploy := *s.Deploy
		deploy.RestartPolicy = nil
		s.Deploy = &deploy
	}
	if len(f.command) > 0 {
		s.Command = f.command
	}
	if f.entrypointSet {
		words, err := shellwords.Parse(f.entrypoint)
		if err != nil {
			return fmt.Errorf("--entrypoint: %w", err)
		}
		if s.Entrypoint = words; len(f.command) == 0 {
			s.Command = []string{}
		}
	}
	if f.user != "" {
		s.User = f.user
	}
	if f.workdir != "" {
		s.WorkingDir = f.workdir
	}
	s.CapAdd, s.CapDrop = moveAll(f.capAdd, s.CapAdd, s.CapDrop)
	s.CapDrop, s.CapAdd = moveAll(f.capDrop, s.CapDrop, s.CapAdd)
	if err := f.changePorts(s); err != nil {
		return err
	}
	s.Volumes = slices.Clone(s.Volumes)
	for _, v := range f.volumes {
		volume, err := format.ParseVolume(v)
		if err != nil {
			return fmt.Errorf("--volume: %w", err)
		}
		if volume.Type == types.VolumeTypeBind {
			if volume.Source, err = filepath.Abs(volume.Source); err != nil {
				return fmt.Errorf("--volume: %w", err)
			}
		}
		s.Volumes = append(s.Volumes, volume)
	}
	labels := types.Labels{}
	for k, v := range s.Labels {
		labels[k] = v
	}
	for _, l := range f.labels {
		k, v, ok := strings.Cut(l, "=")
		if !ok {
			return errors.New("label must be set as KEY=VALUE")
		}
		labels[k] = v
	}
	s.Labels = labels
	return f.changeEnv(s)
}

// moveAll puts values at the end of one list and takes them out of the other.
func moveAll(values, into, from []string) (newInto, newFrom []string) {
	if len(values) == 0 {
		return into, from
	}
	from = slices.DeleteFunc(slices.Clone(from), func(v string) bool { return slices.Contains(values, v) })
	return append(slices.Clone(into), values...), from
}

// changePorts leaves the service's ports out, lest they clash with those of
// its other containers, unless they are asked for.
func (f *runFlags) changePorts(s *types.ServiceConfig) error {
	if f.servicePorts {
		return nil
	}
	s.Ports = nil
	for _, p := range f.publish {
		list, err := types.ParsePortConfig(p)
		if err != nil {
			return fmt.Errorf("--publish: %w", err)
		}
		s.Ports = append(s.Ports, list...)
	}
	return nil
}

func (f *runFlags) changeEnv(s *types.ServiceConfig) error {
	env := types.MappingWithEquals{}
	for k, v := range s.Environment {
		env[k] = v
	}
	for _, name := range f.envFiles {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		vars, err := dotenv.ParseWithLookup(file, lookupEnv)
		file.Close()
		if err != nil {
			return fmt.Errorf("--env-from-file %s: %w", name, err)
		}
		for k, v := range vars {
			env[k] = &v
		}
	}
	for _, kv := range f.env {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = &v
	}
	s.Environment = env
	return nil
}

func lookupEnv(name string) (string, bool) { return os.LookupEnv(name) }
