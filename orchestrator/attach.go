package orchestrator

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// OnExit says what the end of one container means for the others.
type OnExit int

// What happens when a container ends while `up` is attached.
const (
	OnExitIgnore OnExit = iota
	OnExitStop          // all are stopped
	OnExitFail          // all are stopped if it failed
)

// AttachOptions are those of `up` in the foreground.
type AttachOptions struct {
	Sink         LogSink
	AttachTo     []string // the services whose output is shown
	OnExit       OnExit
	ExitCodeFrom string // the service whose exit code is up's
	// Interrupts stop all containers at the first signal and kill them at the
	// second.
	Interrupts <-chan os.Signal
	Say        func(string) // for what is said between log lines
	StopWithin *time.Duration

	// Watch says how files are watched, if they are: from the start with
	// WatchNow, otherwise once the user asks for it.
	Watch    *WatchOptions
	WatchNow bool
	Watching func(on bool) // told when watching begins and ends; nil: nobody is
	Controls <-chan AttachControl
}

// ErrInterrupted says that the user ended an attached `up`.
var ErrInterrupted = errors.New("interrupted")

// UpAttached is Up, and shows the containers' output until all have ended.
// The exit code is that of the container that decided it, or 0.
func (o *Orchestrator) UpAttached(ctx context.Context, p *types.Project, opts UpOptions, attach AttachOptions) (exitCode int, err error) {
	a := &attached{o: o, project: p, opts: opts, AttachOptions: attach}
	return a.run(ctx)
}

// attached is one `up` in the foreground.
type attached struct {
	AttachOptions
	o       *Orchestrator
	project *types.Project
	opts    UpOptions
	w       *watch

	mu          sync.Mutex
	exitCode    int
	decided     bool // the exit code is settled
	converging  bool
	stopping    int // requests to stop or kill that are under way
	interrupted bool
	err         error
	unwatch     func() // ends watching files; nil: none are watched
	changing    int    // changes of containers under way because files changed
}

func (a *attached) run(ctx context.Context) (int, error) {
	if a.WatchNow {
		if err := a.o.CheckWatch(a.project, a.Watch.Services); err != nil {
			return 0, err
		}
	}
	bringUp, cancelUp := context.WithCancel(ctx)
	defer cancelUp()
	a.w = a.o.newWatch(context.WithoutCancel(ctx), a.project.Name, a.Sink)
	defer a.w.close()
	a.w.onExit = a.exited
	a.w.concerns = func(c *Container) bool { return slices.Contains(a.AttachTo, c.Service) }

	ready := make(chan error, 1) // everything is made; or the error that came first
	a.converging = true
	a.opts.beforeStart = func(all []*Container) error {
		err := a.attach(all)
		ready <- err
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := a.o.Up(bringUp, a.project, a.opts)
		a.mu.Lock()
		a.converging = false
		if err != nil && !a.interrupted {
			a.err = err
		}
		a.mu.Unlock()
		select {
		case ready <- err:
		default:
		}
		a.w.poke()
	}()
	stopWatching := make(chan struct{})
	defer close(stopWatching)
	go a.interrupts(stopWatching, cancelUp, done)

	if err := <-ready; err != nil {
		<-done
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.interrupted {
			return 0, ErrInterrupted
		}
		return 0, err
	}
	if a.WatchNow {
		a.beginWatch()
	}
	go a.controls(stopWatching)
	err := a.w.run(a.busy)
	a.endWatch()
	if err != nil {
		return 0, err
	}
	<-done
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.err != nil:
		return 0, a.err
	case a.interrupted:
		return a.exitCode, ErrInterrupted
	}
	return a.exitCode, nil
}

// busy says that containers may still start or are being stopped.
func (a *attached) busy() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		a.w.cancel() // it will not come up; what runs goes on
		return false
	}
	// A container that was replaced or restarted because files changed has
	// ended; that it runs again may not have been told of yet.
	return a.converging || a.stopping > 0 || a.changing > 0 || a.unwatch != nil && !a.w.anyAlive() && a.someRun()
}

// someRun says whether a container of the project runs.
func (a *attached) someRun() bool {
	all, err := observeContainers(a.w.ctx, a.o.Host, a.project.Name)
	return err == nil && slices.ContainsFunc(all, func(c *Container) bool {
		_, ours := a.project.Services[c.Service]
		return ours && !c.OneOff && c.Running()
	})
}

// attach follows the containers of the project before any of them starts.
func (a *attached) attach(all []*Container) error {
	sup, err := a.o.Host.Supervisor(a.w.ctx, a.project.Name)
	if err != nil {
		return err
	}
	if err := a.w.listen(sup); err != nil {
		return err
	}
	var names []string
	for _, c := range all {
		if c.OneOff || !slices.Contains(a.AttachTo, c.Service) {
			continue
		}
		names = append(names, sourceName(c))
	}
	a.Say("Attaching to " + strings.Join(names, ", "))
	a.Sink.Register(names...)
	var begun []<-chan struct{}
	for _, c := range all {
		if _, ours := a.project.Services[c.Service]; c.OneOff || !ours {
			continue
		}
		if slices.Contains(a.AttachTo, c.Service) {
			begun = append(begun, a.w.follow(c, LogOptions{Tail: 0}))
		} else if c.Service == a.ExitCodeFrom || a.OnExit != OnExitIgnore {
			a.w.observeOnly(c)
		}
	}
	// Where they begin to read is where the containers' output ends by then: no
	// container may write before.
	for _, b := range begun {
		<-b
	}
	return nil
}

// exited decides on the exit code, and on stopping the others.
func (a *attached) exited(c *Container, code int, restarting bool) {
	if restarting {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.decided || a.unwatch != nil && a.wasChanged(c) {
		return
	}
	if a.ExitCodeFrom != "" && c.Service == a.ExitCodeFrom {
		a.exitCode, a.decided = code, true
	}
	if a.stopping > 0 || a.interrupted || a.OnExit == OnExitIgnore || a.OnExit == OnExitFail && code == 0 {
		return
	}
	if a.ExitCodeFrom == "" {
		a.exitCode, a.decided = code, true
	}
	a.Say("Aborting on container exit...")
	a.stopLocked()
}

func (a *attached) stopLocked() {
	a.stopping++
	go func() {
		err := a.o.Stop(context.WithoutCancel(a.w.ctx), Selection{Name: a.project.Name, Project: a.project, Services: a.opts.Services}, a.StopWithin)
		a.stopped(err)
	}()
}

func (a *attached) stopped(err error) {
	a.mu.Lock()
	a.stopping--
	if err != nil && a.err == nil && !errors.Is(err, ErrNothing) {
		a.err = err
	}
	a.mu.Unlock()
	a.w.poke()
}

// interrupts handles Ctrl+C until until is closed.
func (a *attached) interrupts(until <-chan struct{}, cancelUp context.CancelFunc, up <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-until:
			return
		case <-a.Interrupts:
		}
		a.mu.Lock()
		switch a.interrupted = true; n {
		case 0:
			a.Say("Gracefully Stopping... press Ctrl+C again to force")
			cancelUp()
			a.stopping++
			go func() {
				a.endWatch()
				<-up // what it was about is done or given up
				a.mu.Lock()
				a.stopLocked()
				a.stopping--
				a.mu.Unlock()
			}()
		case 1:
			a.stopping++
			go func() {
				a.stopped(a.o.Kill(context.WithoutCancel(a.w.ctx), Selection{Name: a.project.Name, Project: a.project, Services: a.opts.Services}, "SIGKILL", false))
			}()
		}
		a.mu.Unlock()
	}
}
