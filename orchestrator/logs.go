package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"compose/engine"
	"compose/orchestrator/logs"
)

// maxHeld bounds what a line without an end takes of memory.
const maxHeld = 1 << 20

// LogSink is where the lines of containers go.
type LogSink interface {
	Register(names ...string)
	Line(name, line string, at time.Time)
	Status(name, what string)
	Flush()
}

// LogLine is one line that a container wrote.
type LogLine struct {
	Text   string // with its line feed, unless it was cut off
	Stream string // "stdout" or "stderr"
	Time   time.Time
}

// LogOptions say which lines of a container are wanted.
type LogOptions struct {
	Tail         int // the last so many; negative: all
	Since, Until time.Time
	// Follow goes on with what is still to come until the context is done.
	Follow bool
	// Sync is for Follow: the reader reads what has been written by now, and
	// then calls the function it got. One that returns false ends it.
	Sync <-chan func() bool
	// Idle is called when there is nothing more to read for now.
	Idle func()
}

// sourceName is a container's name in front of its log lines.
func sourceName(c *Container) string {
	name, project := c.Name(), c.Label(LabelProject)
	if rest, ok := strings.CutPrefix(name, project+"_"); ok { // with --compatibility
		return rest
	}
	return strings.TrimPrefix(name, project+"-")
}

// Logs writes what the selected containers wrote, and with follow what they
// write until they have ended.
func (o *Orchestrator) Logs(ctx context.Context, sel Selection, index int, opts LogOptions, sink LogSink) error {
	if opts.Follow {
		return o.followLogs(ctx, sel, index, opts, sink)
	}
	picked, err := o.logged(ctx, sel, index, sink)
	if err != nil {
		return err
	}
	opts.Idle = sink.Flush
	var g errgroup.Group
	for _, c := range picked {
		g.Go(func() error { return o.readLogs(ctx, c, opts, sink) })
	}
	return g.Wait()
}

// logged are the containers whose output is asked for.
func (o *Orchestrator) logged(ctx context.Context, sel Selection, index int, sink LogSink) ([]*Container, error) {
	picked, err := o.pick(ctx, sel, false)
	if err != nil {
		return nil, err
	}
	if index > 0 {
		c, err := specified(picked, sel.Services[0], index)
		if err != nil {
			return nil, err
		}
		picked = []*Container{c}
	}
	for _, c := range picked {
		sink.Register(sourceName(c))
	}
	return picked, nil
}

func (o *Orchestrator) readLogs(ctx context.Context, c *Container, opts LogOptions, sink LogSink) error {
	whole := wholeLines{emit: func(l LogLine) { sink.Line(sourceName(c), l.Text, l.Time) }}
	err := o.Host.Logs(ctx, c.ID, opts, whole.take)
	whole.end()
	sink.Flush()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, context.Canceled) {
		return nil // removed, or enough
	}
	return err
}

// wholeLines puts the pieces together that a long line is kept in.
type wholeLines struct {
	emit func(LogLine)
	held map[string]LogLine // by stream: what has come of a line so far
}

func (w *wholeLines) take(l LogLine) {
	more := len(l.Text) > logs.MaxPiece-utf8.UTFMax && !strings.HasSuffix(l.Text, "\n")
	if before, ok := w.held[l.Stream]; ok {
		l.Text, l.Time = before.Text+l.Text, before.Time
	}
	if !more || len(l.Text) > maxHeld {
		delete(w.held, l.Stream)
		w.emit(l)
		return
	}
	if w.held == nil {
		w.held = map[string]LogLine{}
	}
	w.held[l.Stream] = l
}

// end passes on what no further piece followed.
func (w *wholeLines) end() {
	for _, stream := range slices.Sorted(maps.Keys(w.held)) {
		w.emit(w.held[stream])
	}
}

// FollowOne calls emit for what a container wrote and writes until it has
// ended.
func (o *Orchestrator) FollowOne(ctx context.Context, c *Container, opts LogOptions, emit func(LogLine)) error {
	sup, err := o.Host.Supervisor(ctx, c.Spec.Project)
	if err != nil {
		return err
	}
	over := make(chan func() bool, 1)
	go func() {
		_, _ = sup.Wait(ctx, c.ID, "not-running") // an error is an end as well
		over <- func() bool { return false }
	}()
	opts.Follow, opts.Sync = true, over
	err = o.Host.Logs(ctx, c.ID, opts, emit)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// followLogs follows containers that run until they have ended, and those
// that start in the meantime.
func (o *Orchestrator) followLogs(ctx context.Context, sel Selection, index int, opts LogOptions, sink LogSink) error {
	w := o.newWatch(ctx, sel.Name, sink)
	defer w.close()
	if err := w.subscribe(); err != nil {
		return err
	}
	// Looked at only now: whatever ends from here on, we are told of.
	picked, err := o.logged(ctx, sel, index, sink)
	if err != nil {
		return err
	}
	w.concerns = func(c *Container) bool {
		if len(sel.Services) == 0 {
			return sel.Project == nil || hasService(sel.Project, c.Service)
		}
		for _, s := range sel.Services {
			if s == c.Service {
				return true
			}
		}
		return false
	}
	for _, c := range picked {
		w.follow(c, opts)
		if !c.Running() {
			w.ended(w.followers[c.ID], "")
		}
	}
	if w.events == nil && len(w.running()) > 0 { // its supervisor has just died
		if err := w.lost(); err != nil {
			return err
		}
	}
	return w.run(nil)
}

// specified is a service's container with a number, or its first.
func specified(containers []*Container, service string, index int) (*Container, error) {
	for _, c := range containers {
		if c.Service == service && !c.OneOff && (index == 0 || c.Number == index) {
			return c, nil
		}
	}
	for _, c := range containers { // a one-off one, if there is no other
		if c.Service == service && index == 0 && c.State.Status == engine.Running {
			return c, nil
		}
	}
	if index > 0 {
		return nil, &NotRunningError{Service: service, Index: index}
	}
	return nil, &NotRunningError{Service: service}
}

// NotRunningError says that a service has no container that runs.
type NotRunningError struct {
	Service string
	Index   int // of the one that was asked for; 0: any
}

func (e *NotRunningError) Error() string {
	if e.Index > 0 {
		return fmt.Sprintf("service %q is not running container #%d", e.Service, e.Index)
	}
	return fmt.Sprintf("service %q is not running", e.Service)
}
