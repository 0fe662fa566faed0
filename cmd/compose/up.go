package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/orchestrator"
)

type upFlags struct {
	createFlags
	detach, noStart, noDeps       bool
	wait                          bool
	waitTimeout                   int
	noColor, noPrefix, timestamps bool
	attach, noAttach              []string
	attachDependencies            bool
	abortOnExit, abortOnFailure   bool
	exitCodeFrom                  string
	renewAnon, alwaysRecreateDeps bool
	watch                         bool
	menu, menuSet                 bool
}

func newUpCommand(app *App) *cobra.Command {
	f := &upFlags{}
	cmd := &cobra.Command{
		Use:   "up [OPTIONS] [SERVICE...]",
		Short: "Create and start containers",
		RunE: func(cmd *cobra.Command, args []string) error {
			f.changed(cmd)
			f.menuSet = cmd.Flags().Changed("menu")
			if err := f.check(); err != nil {
				return err
			}
			return runUp(cmd, app, f, args)
		},
	}
	fl := cmd.Flags()
	f.createFlags.register(fl)
	fl.BoolVarP(&f.detach, "detach", "d", false, "Leave the containers running in the background")
	fl.BoolVar(&f.noStart, "no-start", false, "Create the containers and do not start them")
	fl.BoolVar(&f.noDeps, "no-deps", false, "Leave out the services that the named ones depend on")
	fl.BoolVar(&f.wait, "wait", false, "Return once all services run or are healthy (implies --detach)")
	fl.IntVar(&f.waitTimeout, "wait-timeout", 0, "Give up waiting after so many seconds")
	fl.BoolVar(&f.noColor, "no-color", false, "Do not colour the containers' output")
	fl.BoolVar(&f.noPrefix, "no-log-prefix", false, "Do not put the container's name in front of its output")
	fl.BoolVar(&f.timestamps, "timestamps", false, "Put the time in front of each line of output")
	fl.StringArrayVar(&f.attach, "attach", nil, "Show the output of this service only (repeatable)")
	fl.StringArrayVar(&f.noAttach, "no-attach", nil, "Do not show the output of this service (repeatable)")
	fl.BoolVar(&f.attachDependencies, "attach-dependencies", false, "Show the output of the dependencies too")
	fl.BoolVar(&f.abortOnExit, "abort-on-container-exit", false, "Stop all containers when one of them ends")
	fl.BoolVar(&f.abortOnFailure, "abort-on-container-failure", false, "Stop all containers when one of them fails")
	fl.StringVar(&f.exitCodeFrom, "exit-code-from", "", "Return the exit code of this service's container (implies --abort-on-container-exit)")
	fl.BoolVar(&f.alwaysRecreateDeps, "always-recreate-deps", false, "Recreate the containers of dependencies too")
	fl.BoolVarP(&f.renewAnon, "renew-anon-volumes", "V", false, "Give replaced containers new anonymous volumes")
	fl.BoolVarP(&f.watch, "watch", "w", false, "Copy files into containers, or rebuild them, as the files change")
	fl.BoolVar(&f.menu, "menu", false, "Name the keys there are below the output (default on a terminal; COMPOSE_MENU)")
	fl.IntVarP(&f.timeout, "timeout", "t", 0, "Seconds a container gets to end before it is killed")
	return cmd
}

// check refuses flags that exclude each other.
func (f *upFlags) check() error {
	if f.exitCodeFrom != "" && !f.abortOnFailure {
		f.abortOnExit = true
	}
	attached := f.abortOnExit || f.abortOnFailure || len(f.attach) > 0 || f.attachDependencies || f.watch
	switch {
	case f.waitTimeout < 0:
		return errors.New("--wait-timeout must be a non-negative integer")
	case f.abortOnExit && f.abortOnFailure:
		return errors.New("--abort-on-container-failure cannot be combined with --abort-on-container-exit")
	case f.wait && attached:
		return errors.New("--wait cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --attach, --attach-dependencies or --watch")
	case f.detach && attached:
		return errors.New("--detach cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --attach, --attach-dependencies or --watch")
	case len(f.attach) > 0 && f.attachDependencies:
		return errors.New("cannot combine --attach and --attach-dependencies")
	case f.renewAnon && f.noRecreate:
		return errors.New("--no-recreate and --renew-anon-volumes are incompatible")
	case f.noBuild && f.watch:
		return errors.New("--no-build and --watch are incompatible")
	case f.alwaysRecreateDeps && f.noRecreate:
		return errors.New("--always-recreate-deps and --no-recreate are incompatible")
	}
	f.detach = f.detach || f.wait
	return f.createFlags.check()
}

func runUp(cmd *cobra.Command, app *App, f *upFlags, services []string) error {
	ctx := cmd.Context()
	app.openAhead()
	p, err := app.selectedProject(ctx, services, f.noDeps)
	if err != nil {
		return err
	}
	if err := app.askForRemote(ctx, p, f.yes); err != nil {
		return err
	}
	if p, err = f.apply(p); err != nil {
		return err
	}
	for _, name := range append(slices.Clone(f.attach), f.exitCodeFrom) {
		if _, ok := p.Services[name]; !ok && name != "" {
			return orchestrator.NoSuchServiceError(name)
		}
	}
	opts := orchestrator.UpOptions{ReconcileOptions: f.reconcile(app, services), Images: f.images(app)}
	opts.NoStart, opts.Wait, opts.RenewAnon = f.noStart, f.wait, f.renewAnon
	if f.alwaysRecreateDeps {
		opts.RecreateDeps = orchestrator.RecreateForce
	}
	if f.renewAnon && opts.Recreate == orchestrator.RecreateDiverged {
		opts.Recreate = orchestrator.RecreateForce
	}
	s, err := app.session(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if f.detach || f.noStart || s.DryRun != nil {
		ctx, cancel := withTimeout(ctx, f.wait, f.waitTimeout)
		defer cancel()
		err := s.Up(ctx, p, opts)
		if errors.Is(err, errWaitTimeout) {
			return fmt.Errorf("application not healthy after %s", time.Duration(f.waitTimeout)*time.Second)
		}
		return err
	}
	return upAttached(cmd, s, p, f, opts, services)
}

func upAttached(cmd *cobra.Command, s *session, p *types.Project, f *upFlags, opts orchestrator.UpOptions, services []string) error {
	if s.app.wantsMenu(f.menu, f.menuSet) {
		s.menu = render.NewMenu(s.app.Stdout, func() int {
			columns, _ := s.app.screen()
			return columns
		}, !f.noColor && s.app.color(s.app.Stdout))
	}
	logs := s.logs(f.noColor, f.noPrefix, f.timestamps)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	attach := orchestrator.AttachOptions{
		Sink:         logs,
		AttachTo:     f.attachTo(p, services),
		ExitCodeFrom: f.exitCodeFrom,
		Interrupts:   signals,
		StopWithin:   f.stopWithin(),
		Watch:        &orchestrator.WatchOptions{Services: services, Build: opts.Images.Build},
		WatchNow:     f.watch,
		Say: func(line string) {
			s.attached()
			logs.Flush()
			fmt.Fprintln(messages{s}, line)
		},
	}
	if s.menu != nil {
		defer s.shortcuts(p, services, &attach)()
	}
	switch {
	case f.abortOnExit:
		attach.OnExit = orchestrator.OnExitStop
	case f.abortOnFailure:
		attach.OnExit = orchestrator.OnExitFail
	}
	code, err := s.UpAttached(cmd.Context(), p, opts, attach)
	if errors.Is(err, orchestrator.ErrInterrupted) {
		return exitWith(130)
	}
	if err == nil && code != 0 {
		return exitWith(code)
	}
	return err
}

// attachTo lists the services whose output is shown.
func (f *upFlags) attachTo(p *types.Project, services []string) []string {
	var out []string
	for name, s := range p.Services {
		asked := len(services) == 0 || slices.Contains(services, name) || f.attachDependencies
		switch {
		case slices.Contains(f.noAttach, name):
		case len(f.attach) > 0 && !slices.Contains(f.attach, name):
		case len(f.attach) == 0 && (!asked || s.Attach != nil && !*s.Attach):
		default:
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
