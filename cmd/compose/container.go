package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"compose/engine"
	"compose/orchestrator"
)

func newContainerCommand(app *App) *cobra.Command {
	return app.group(&cobra.Command{Use: "container COMMAND", Short: "Manage containers"}, func() []*cobra.Command {
		ls := newContainerLsCommand(app)
		ls.Use, ls.Aliases = "ls [OPTIONS]", []string{"ps", "list"}
		return append(containerVerbs(app), ls, newContainerInspectCommand(app), newContainerPruneCommand(app))
	})
}

// containerVerbs are those that `docker` has at its top level too.
func containerVerbs(app *App) []*cobra.Command {
	return []*cobra.Command{
		newContainerRunCommand(app), newContainerCreateCommand(app), newContainerStartCommand(app),
		newContainerStopCommand(app), newContainerRestartCommand(app), newContainerKillCommand(app),
		newContainerPauseCommand(app), newContainerUnpauseCommand(app), newContainerRmCommand(app),
		newContainerExecCommand(app), newContainerLogsCommand(app), newContainerAttachCommand(app),
		newContainerWaitCommand(app), newContainerRenameCommand(app), newContainerUpdateCommand(app), newContainerTopCommand(app),
		newContainerPortCommand(app), newContainerCpCommand(app), newContainerStatsCommand(app),
		newContainerDiffCommand(app), newContainerExportCommand(app), newContainerCommitCommand(app),
	}
}

func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// find opens the host and finds a container by name or ID.
func (app *App) find(ctx context.Context, ref string) (*session, *orchestrator.Container, error) {
	s, err := app.session(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, err := s.Find(ctx, ref)
	if err != nil {
		s.close()
		return nil, nil, err
	}
	return s, c, nil
}

// onContainer does something in the engine with a container that is named.
func (app *App) onContainer(ctx context.Context, ref string, do func(*engine.Engine, *orchestrator.Container) error) error {
	s, c, err := app.find(ctx, ref)
	if err != nil {
		return err
	}
	defer s.close()
	e, err := app.openEngine()
	if err != nil {
		return err
	}
	return do(e, c)
}

// eachContainer does something with each container that is named, side by
// side, and prints the names of those where it went well in their order.
func (app *App) eachContainer(ctx context.Context, refs []string, do func(context.Context, *session, *orchestrator.Container) error) error {
	s, err := app.session(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	errs := make([]error, len(refs))
	var g errgroup.Group
	g.SetLimit(50)
	for i, ref := range refs {
		g.Go(func() error {
			c, err := s.Find(ctx, ref)
			if err == nil {
				err = do(ctx, s, c)
			}
			errs[i] = err
			return nil
		})
	}
	_ = g.Wait() // the errors are kept apart
	for i, ref := range refs {
		if errs[i] == nil {
			fmt.Fprintln(app.Stdout, ref)
		}
	}
	return errors.Join(errs...)
}

// supervise is for what a supervisor does to a container.
func supervise(ctx context.Context, s *session, c *orchestrator.Container, do func(orchestrator.Supervisor) error) error {
	sup, err := s.Host.Supervisor(ctx, c.Spec.Project)
	if err != nil {
		return err
	}
	return do(sup)
}

// detachReader is the user's keyboard: it ends the connection when a sequence
// of keys is typed.
type detachReader struct {
	in   io.Reader
	keys []byte
	done chan struct{} // closed then
	seen int           // keys of the sequence that have been typed
	held []byte        // what is to be read next
}

func (d *detachReader) Read(p []byte) (int, error) {
	for len(d.held) == 0 {
		buf := make([]byte, len(p))
		n, err := d.in.Read(buf)
		for _, b := range buf[:n] {
			if b == d.keys[d.seen] {
				if d.seen++; d.seen == len(d.keys) {
					close(d.done)
					select {} // nothing more comes: the command ends
				}
				continue
			}
			d.held = append(d.held, d.keys[:d.seen]...)
			if d.seen = 0; b == d.keys[0] {
				d.seen = 1
				continue
			}
			d.held = append(d.held, b)
		}
		if err != nil && len(d.held) == 0 {
			return 0, err
		}
	}
	n := copy(p, d.held)
	d.held = d.held[n:]
	return n, nil
}

// parseKeys reads "ctrl-p,ctrl-q".
func parseKeys(text string) ([]byte, error) {
	var keys []byte
	for start := 0; start <= len(text); {
		end := start
		for end < len(text) && (text[end] != ',' || end == start) {
			end++
		}
		switch key := text[start:end]; {
		case len(key) == 1:
			keys = append(keys, key[0])
		case len(key) == 6 && key[:5] == "ctrl-" && key[5] >= 'a' && key[5] <= 'z':
			keys = append(keys, key[5]-'a'+1)
		case len(key) == 6 && key[:5] == "ctrl-" && key[5] >= '@' && key[5] <= '_':
			keys = append(keys, key[5]-'@')
		default:
			return nil, fmt.Errorf("--detach-keys: unknown key %q; write them as ctrl-p,ctrl-q", key)
		}
		start = end + 1
	}
	return keys, nil
}

// detachable lets the user leave a process with a terminal to itself.
func (c *console) detachable(keys string) error {
	if keys == "" {
		keys = "ctrl-p,ctrl-q"
	}
	sequence, err := parseKeys(keys)
	if err != nil || c.streams.Stdin == nil {
		return err
	}
	done := make(chan struct{})
	c.streams.Stdin = &detachReader{in: c.streams.Stdin, keys: sequence, done: done}
	c.streams.Detach = done
	return nil
}
