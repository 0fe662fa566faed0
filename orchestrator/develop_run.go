package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
	"compose/internal/filelock"
	"compose/orchestrator/filewatch"
)

// WatchSource is the name under which Watch writes to a LogSink.
const WatchSource = "#watch"

// WatchOptions say what Watch does.
type WatchOptions struct {
	Services []string // none: all that have a develop section
	Build    BuildOptions
	Prune    bool // remove images that a rebuild has left without a name
	Sink     LogSink

	busy func(begins bool) // told when containers are going to be changed, and when that is done
}

// CheckWatch says why Watch could not work on services, before anything is done.
func (o *Orchestrator) CheckWatch(p *types.Project, services []string) error {
	_, err := watchRules(p, services, func(string) {})
	return err
}

// Watch carries out the develop.watch of services until ctx ends: their files
// are copied into containers, and containers restarted, rebuilt or told to run
// something, as files of the host change. One command at a time may watch a
// project.
func (o *Orchestrator) Watch(ctx context.Context, p *types.Project, opts WatchOptions) error {
	rules, err := watchRules(p, opts.Services, o.warn)
	if err != nil {
		return err
	}
	lock, err := filelock.TryExclusive(filepath.Join(o.Roots.RunProject(p.Name), "watch.lock"))
	if errors.Is(err, filelock.ErrHeld) {
		return fmt.Errorf("cannot take exclusive lock for project %q: another command watches it; end that one first", p.Name)
	}
	if err != nil {
		return err
	}
	defer lock.Unlock()

	d := &developer{o: o, project: p, rules: rules, opts: opts}
	paths := make([]string, len(rules))
	for i, r := range rules {
		paths[i] = r.Path
	}
	// What changes from here on is noticed, also while files are copied first.
	files, err := filewatch.New(paths, d.skips)
	if err != nil {
		return err
	}
	defer files.Close()
	if err := d.initialSync(ctx); err != nil {
		return err
	}
	d.say("Watch enabled")
	for {
		select {
		case <-ctx.Done():
			d.say("Watch disabled")
			return nil
		case changed, ok := <-files.Batches():
			if !ok {
				return files.Err()
			}
			if err := d.handle(ctx, changed); err != nil && ctx.Err() == nil {
				o.warn("Error handling changed files: " + err.Error())
			}
		}
	}
}

// developer is one Watch at work.
type developer struct {
	o       *Orchestrator
	project *types.Project
	rules   []watchRule
	opts    WatchOptions
}

func (d *developer) say(format string, args ...any) {
	d.opts.Sink.Line(WatchSource, fmt.Sprintf(format, args...), time.Now())
	d.opts.Sink.Flush()
}

// skips says whether nobody cares for a directory.
func (d *developer) skips(dir string) bool {
	return !slices.ContainsFunc(d.rules, func(r watchRule) bool { return !r.skips(dir) })
}

// initialSync copies all that is there, for entries that ask for it.
func (d *developer) initialSync(ctx context.Context) error {
	for i := range d.rules {
		r := &d.rules[i]
		if !r.InitialSync || !r.syncs() {
			continue
		}
		list, err := r.files(d.project.Services[r.service].Volumes)
		if err != nil {
			return fmt.Errorf("service %q: initial_sync: %w", r.service, err)
		}
		if err := d.sync(ctx, r.service, list); err != nil {
			return err
		}
	}
	return nil
}

// handle does what changes of files ask for.
func (d *developer) handle(ctx context.Context, changed []string) error {
	if d.opts.busy != nil {
		d.opts.busy(true)
		defer d.opts.busy(false)
	}
	b := sortChanges(d.rules, changed)
	if len(b.rebuild) > 0 {
		if err := d.rebuild(ctx, slices.Sorted(maps.Keys(b.rebuild))); err != nil {
			return err
		}
	}
	for _, service := range slices.Sorted(maps.Keys(b.sync)) {
		d.say("Syncing service %q after %d changes were detected", service, len(b.sync[service]))
		if err := d.sync(ctx, service, b.sync[service]); err != nil {
			return err
		}
	}
	if services := slices.Sorted(maps.Keys(b.restart)); len(services) > 0 {
		if err := d.o.Restart(ctx, Selection{Name: d.project.Name, Project: d.project, Services: services}, nil, false); err != nil {
			return err
		}
		d.say("service(s) %q restarted", services)
	}
	for _, service := range slices.Sorted(maps.Keys(b.exec)) {
		for _, r := range b.exec[service] {
			if err := d.exec(ctx, service, r.Exec); err != nil {
				return err
			}
		}
	}
	return nil
}

// sync copies paths into all containers of a service, also those that do not run.
func (d *developer) sync(ctx context.Context, service string, list []engine.SyncPath) error {
	containers, err := d.o.pick(ctx, Selection{Name: d.project.Name, Services: []string{service}}, false)
	if err != nil {
		return err
	}
	volumes := d.project.Services[service].Volumes
	list = slices.DeleteFunc(slices.Clone(list), func(p engine.SyncPath) bool { return bindMounted(p.Source, volumes) })
	var errs []error
	for _, c := range containers {
		if err := d.o.Host.Sync(ctx, c.ID, list); err != nil {
			errs = append(errs, fmt.Errorf("container %s: %w", c.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// exec runs the command of a sync+exec in the containers of a service.
func (d *developer) exec(ctx context.Context, service string, hook types.ServiceHook) error {
	containers, err := d.o.pick(ctx, Selection{Name: d.project.Name, Services: []string{service}}, false)
	if err != nil {
		return err
	}
	for _, c := range containers {
		if c.State.Status != engine.Running {
			continue
		}
		out := &lineWriter{line: func(l string) { d.opts.Sink.Line(sourceName(c), l, time.Now()) }}
		code, err := d.o.Host.Exec(ctx, c.ID, hookExec(hook), Streams{Stdout: out, Stderr: out})
		out.end()
		d.opts.Sink.Flush()
		if err == nil && code != 0 {
			err = fmt.Errorf("%s exited with status %d", strings.Join(hook.Command, " "), code)
		}
		if err != nil {
			return fmt.Errorf("services.%s.develop.watch: container %s: %w", service, c.Name(), err)
		}
	}
	return nil
}

// rebuild builds the images of services and replaces their containers.
func (d *developer) rebuild(ctx context.Context, services []string) error {
	d.say("Rebuilding service(s) %q after changes were detected...", services)
	if err := d.o.Build(ctx, d.project, services, d.opts.Build); err != nil {
		d.say("Build failed. Error: %v", err)
		return err
	}
	d.say("service(s) %q successfully built", services)
	// Nothing else is to be built or looked for in registries now.
	p := *d.project
	p.Services = types.Services{}
	for name, s := range d.project.Services {
		s.PullPolicy = types.PullPolicyMissing
		p.Services[name] = s
	}
	err := d.o.Up(ctx, &p, UpOptions{
		ReconcileOptions: ReconcileOptions{Services: services, Recreate: RecreateForce, RecreateDeps: RecreateNever, IgnoreOrphans: true},
		Images:           ImageOptions{NoBuild: true},
	})
	if err != nil {
		d.say("Failed to recreate services after update. Error: %v", err)
		return err
	}
	if d.opts.Prune {
		return d.prune(ctx)
	}
	return nil
}

// prune removes the project's images that have lost their names.
func (d *developer) prune(ctx context.Context) error {
	list, err := d.o.Host.DanglingImages(ctx, d.project.Name)
	if err != nil {
		return err
	}
	for _, id := range list {
		// Others may use it, or have removed it.
		if err := d.o.Host.RemoveImage(ctx, id); err != nil && !errors.Is(err, ErrInUse) && gone(err) != nil {
			return err
		}
	}
	return nil
}

// lineWriter cuts what is written to it, by several at once, into lines.
type lineWriter struct {
	mu   sync.Mutex
	line func(string)
	rest string
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := w.rest + string(p)
	for {
		line, rest, ok := strings.Cut(text, "\n")
		if !ok {
			w.rest = text
			return len(p), nil
		}
		w.line(line)
		text = rest
	}
}

// end gives the last line, if it lacks its line feed.
func (w *lineWriter) end() {
	if w.rest != "" {
		w.line(w.rest)
		w.rest = ""
	}
}
