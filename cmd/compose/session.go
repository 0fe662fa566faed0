package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"compose/cmd/compose/render"
	"compose/engine/build"
	"compose/engine/build/progress"
	"compose/internal/roots"
	"compose/internal/trace"
	"compose/orchestrator"
	"compose/spec"
)

// load reads the project with the given services and those they depend on.
func (app *App) load(ctx context.Context, services []string) (*spec.Project, error) {
	loading := trace.Begin("load the files", "")
	p, warnings, err := spec.Load(ctx, app.specOptions(services))
	loading.End()
	for _, w := range warnings {
		app.warn(w.String())
	}
	return p, err
}

func (app *App) specOptions(services []string) spec.Options {
	if app.remotes == nil {
		app.remotes = newRemotes(app)
	}
	return spec.Options{
		Files: app.Files, ProjectName: app.ProjectName, ProjectDir: app.ProjectDir,
		EnvFiles: app.EnvFiles, Profiles: app.Profiles, Services: services, Compatibility: app.Compatibility,
		AllResources: app.AllResources, Remotes: app.remotes.loaders(),
	}
}

// selectedProject is what `up` works on: the services asked for, with what
// they depend on unless noDeps is set.
func (app *App) selectedProject(ctx context.Context, services []string, noDeps bool) (*types.Project, error) {
	loaded, err := app.load(ctx, services)
	if err != nil {
		return nil, err
	}
	p := loaded.Project
	if noDeps {
		if p, err = p.WithSelectedServices(services, types.IgnoreDependencies); err != nil {
			return nil, err
		}
	}
	if len(p.Services) == 0 {
		return nil, errors.New("no service selected")
	}
	for _, r := range loaded.Refused {
		if _, ok := p.Services[r.Service]; ok || r.Service == "" {
			return nil, errors.New(r.String())
		}
	}
	return p, nil
}

// selection is what a verb on existing containers works on: those of the file
// or, with -p and without -f, whatever carries the project's label.
func (app *App) selection(ctx context.Context, services []string) (orchestrator.Selection, error) {
	name := app.ProjectName
	if name != "" && len(app.Files) == 0 {
		return orchestrator.Selection{Name: strings.ToLower(name), Services: services}, nil
	}
	p, err := app.load(ctx, nil)
	if err != nil {
		if env := os.Getenv("COMPOSE_PROJECT_NAME"); env != "" && errors.Is(err, spec.ErrNoFile) {
			return orchestrator.Selection{Name: env, Services: services}, nil
		}
		return orchestrator.Selection{}, err
	}
	return orchestrator.Selection{Name: p.Name, Project: p.Project, Services: services}, nil
}

// projectName is all that a verb on one container needs of the project.
func (app *App) projectName() (string, error) {
	if app.ProjectName != "" {
		return strings.ToLower(app.ProjectName), nil
	}
	if env := os.Getenv("COMPOSE_PROJECT_NAME"); env != "" && len(app.Files) == 0 {
		return env, nil
	}
	return spec.Name(app.specOptions(nil))
}

// session is one verb at work: the orchestrator on this host, and the display
// of its progress.
type session struct {
	*orchestrator.Orchestrator
	app *App

	mu         sync.Mutex
	progress   render.Progress
	isAttached bool
	builds     progress.Display // nil: nobody watches
	menu       *render.Menu     // nil: there is none
}

// session opens the host. close must be called.
func (app *App) session(ctx context.Context) (*session, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("containers can be managed by root only; run the command with sudo")
	}
	r, err := app.roots()
	if err != nil {
		return nil, err
	}
	host, err := app.host(r)
	if err != nil {
		return nil, err
	}
	mode, err := app.progressMode()
	if err != nil {
		return nil, err
	}
	s := &session{app: app, progress: render.NewProgress(app.status(), mode, app.color(app.status()))}
	s.Orchestrator = &orchestrator.Orchestrator{
		Host: host, Roots: r, Hash: spec.ConfigHash,
		Report: s.report, Warn: s.warn, Parallel: app.parallel(),
	}
	s.BuildProgress = s.buildProgress(mode)
	if app.DryRun {
		s.DryRun = app.Stdout
	}
	return s, nil
}

// host opens the host, or waits until that has been done.
func (app *App) host(r roots.Roots) (orchestrator.Host, error) {
	if app.hosts != nil {
		h := <-app.hosts
		app.hosts = nil
		return h.Host, h.err
	}
	defer trace.Begin("open the engine", "").End()
	return orchestrator.OpenHost(r)
}

// openedHost is a host, or why there is none.
type openedHost struct {
	orchestrator.Host
	err error
}

// openAhead begins to open the host and to read what is on record of its
// containers, for a verb that loads the files before it asks for a session.
// Without containers it leaves all to the session: files that cannot be loaded
// leave a host as it was.
func (app *App) openAhead() {
	r, err := app.roots()
	if err != nil || os.Geteuid() != 0 {
		return
	}
	if _, err := os.Stat(r.Containers()); err != nil {
		return
	}
	hosts := make(chan openedHost, 1)
	app.hosts = hosts
	go func() {
		opening := trace.Begin("open the engine", "")
		host, err := orchestrator.OpenHostAhead(r)
		opening.End()
		hosts <- openedHost{host, err}
	}()
}

// close shows the last state of the progress.
func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.builds != nil {
		s.builds.Close()
		s.builds = nil
	}
	if s.progress != nil {
		s.progress.Close()
		s.progress = nil
	}
}

// buildProgress shows builds. A verb that only builds has the terminal for
// that; with others the steps are lines between the other progress.
func (s *session) buildProgress(mode string) func(build.Event) {
	switch {
	case s.app.Progress == progress.ModeRawJSON:
		mode = progress.ModeRawJSON
	case mode == render.ModeQuiet:
		return nil
	case mode != render.ModeTTY || !s.app.onlyBuilds:
		mode = progress.ModePlain
	}
	display, err := progress.New(messages{s}, mode, s.app.screen)
	if err != nil {
		return nil // all modes above are known
	}
	s.builds = display
	if mode == progress.ModeTTY {
		s.progress.Close()
		s.progress = render.NewProgress(s.app.Stderr, render.ModeQuiet, false)
		return display.Event
	}
	return func(e build.Event) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.progress == nil {
			display.Event(e)
			return
		}
		s.progress.Suspend(func() { display.Event(e) })
	}
}

// screen is the size of the terminal that progress is shown on.
func (app *App) screen() (columns, rows int) {
	if columns, rows, err := term.GetSize(int(app.Stderr.Fd())); err == nil && columns > 0 {
		return columns, rows
	}
	return 80, 24
}

// attached ends the display of progress, because log lines follow. What is
// reported from now on comes as plain lines between them, if it is news.
func (s *session) attached() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isAttached || s.progress == nil {
		return
	}
	s.isAttached = true
	s.progress.Close()
	mode, _ := s.app.progressMode() // it was good before
	if mode == render.ModeTTY {
		mode = render.ModePlain
	}
	if s.menu == nil {
		s.progress = render.NewProgress(s.app.status(), mode, false)
		return
	}
	s.progress = render.NewProgress(messages{s}, mode, false)
	s.menu.Open()
}

// messages is where a verb says something beside its results: above the menu,
// where one is on the same terminal.
type messages struct{ s *session }

func (m messages) Write(p []byte) (int, error) {
	if m.s.menu != nil && term.IsTerminal(int(m.s.app.Stderr.Fd())) {
		return m.s.menu.Write(p)
	}
	return m.s.app.Stderr.Write(p)
}

func (s *session) report(e orchestrator.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.progress == nil {
		return
	}
	if s.isAttached {
		switch e.Text {
		case "Starting", "Started", "Running":
			return // their output tells
		}
	}
	s.progress.Event(e)
}

func (s *session) warn(message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.progress == nil {
		fmt.Fprintln(messages{s}, "warning: "+message)
		return
	}
	s.progress.Suspend(func() { fmt.Fprintln(messages{s}, "warning: "+message) })
}

// logs is where the output of containers goes.
func (s *session) logs(noColor, noPrefix, timestamps bool) *render.Logs {
	var out io.Writer = s.app.Stdout
	if s.menu != nil {
		out = s.menu
	}
	l := render.NewLogs(out)
	l.Color = !noColor && s.app.color(s.app.Stdout)
	l.Prefix, l.Timestamps, l.Terminal = !noPrefix, timestamps, term.IsTerminal(int(s.app.Stdout.Fd()))
	return l
}

// steer runs a verb on existing containers.
func (app *App) steer(cmd *cobra.Command, services []string, verb func(context.Context, *session, orchestrator.Selection) error) error {
	app.openAhead()
	sel, err := app.selection(cmd.Context(), services)
	if err != nil {
		return err
	}
	s, err := app.session(cmd.Context())
	if err != nil {
		return err
	}
	defer s.close()
	return verb(cmd.Context(), s, sel)
}

// color says whether escape sequences may be written to f.
func (app *App) color(f *os.File) bool {
	switch {
	case app.ANSI == "never", os.Getenv("NO_COLOR") != "":
		return false
	case app.ANSI == "always":
		return true
	}
	return term.IsTerminal(int(f.Fd()))
}

func (app *App) progressMode() (string, error) {
	switch {
	case app.Progress == render.ModeTTY && app.ANSI == "never":
		return "", errors.New("can't use --progress tty while ANSI support is disabled")
	case app.Progress == render.ModePlain && app.ANSI == "always":
		return "", errors.New("can't use --progress plain while ANSI support is forced")
	}
	switch app.Progress {
	case "none":
		return render.ModeQuiet, nil
	case render.ModeTTY, render.ModePlain, render.ModeQuiet, render.ModeJSON:
		return app.Progress, nil
	case progress.ModeRawJSON: // is about builds only
		return render.ModeQuiet, nil
	case "auto", "":
		if app.ANSI != "never" && term.IsTerminal(int(app.status().Fd())) {
			return render.ModeTTY, nil
		}
		return render.ModePlain, nil
	}
	return "", fmt.Errorf("unsupported --progress value %q; use auto, tty, plain, json, rawjson or quiet", app.Progress)
}

// parallel is how many operations may run side by side; 0 is the default.
func (app *App) parallel() int {
	n := app.Parallel
	if n < 0 {
		return 1 << 20
	}
	return n
}
