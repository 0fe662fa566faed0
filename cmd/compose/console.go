package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"compose/internal/signals"
	"compose/orchestrator"
)

// console is the user's terminal while a process of a container has it.
type console struct {
	streams orchestrator.Streams
	restore func()
}

// connect gives a process the command's streams. With tty the terminal is put
// into raw mode, so that what is typed reaches the process untouched, and its
// size is told; without, signals are passed on. done must be called.
func (app *App) connect(tty, interactive bool) (*console, error) {
	c := &console{restore: func() {}}
	c.streams.Stdout = app.Stdout
	if interactive {
		c.streams.Stdin = app.Stdin
	}
	in := int(app.Stdin.Fd())
	if tty {
		if interactive && term.IsTerminal(in) {
			old, err := term.MakeRaw(in)
			if err != nil {
				return nil, err
			}
			c.restore = func() { _ = term.Restore(in, old) } // there is nothing else to try
		}
		if out := int(app.Stdout.Fd()); term.IsTerminal(out) {
			c.streams.Resize = sizes(out)
		}
	} else {
		c.streams.Stderr = app.Stderr
	}
	caught := make(chan os.Signal, 16)
	if err := app.signals.pass(caught, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2); err != nil {
		c.restore()
		return nil, err
	}
	c.streams.Signals = app.impatient(caught)
	return c, nil
}

// heeded is who gets the signals that a command is sent.
type heeded struct {
	lock   sync.Mutex
	passed bool // to a process of a container
}

// end has SIGINT and SIGTERM call stop from now on, unless they are passed on.
func (h *heeded) end(ctx context.Context, stop func()) {
	h.lock.Lock()
	defer h.lock.Unlock()
	if h.passed {
		return
	}
	signalled, _ := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM) // for as long as the command lives
	context.AfterFunc(signalled, stop)
}

// pass has signals sent to c, which do not end the command any more.
func (h *heeded) pass(c chan<- os.Signal, which ...syscall.Signal) error {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.passed = true
	return signals.Catch(c, which...)
}

// patience is how many signals that ask for the end a process may leave
// without effect before the command ends without it, as Docker's does.
const patience = 3

// impatient passes signals on, and ends the command at the last one.
func (app *App) impatient(signals <-chan os.Signal) <-chan os.Signal {
	out := make(chan os.Signal, cap(signals))
	go func() {
		asked := 0
		for s := range signals {
			if s == syscall.SIGINT || s == syscall.SIGTERM {
				asked++
			}
			if asked == patience {
				fmt.Fprintf(app.Stderr, "\ngot %d SIGTERM/SIGINTs, forcefully exiting\n", patience)
				os.Exit(1)
			}
			out <- s
		}
	}()
	return out
}

func (c *console) done() { c.restore() }

// sizes tells the size of a terminal now and whenever it changes.
func sizes(fd int) <-chan orchestrator.WindowSize {
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, syscall.SIGWINCH)
	out := make(chan orchestrator.WindowSize, 1)
	tell := func() {
		if ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); err == nil {
			out <- orchestrator.WindowSize{Rows: ws.Row, Columns: ws.Col}
		}
	}
	tell() // the process is to have that from its first instruction on
	go func() {
		for range changes {
			tell()
		}
	}()
	return out
}

// exitOf turns the end of a process into that of the command.
func exitOf(code int, err error) error {
	if start, ok := asStartError(err); ok {
		return &exitError{code: start.Code, message: start.Message}
	}
	if err == nil && code != 0 {
		return exitWith(code)
	}
	return err
}

func asStartError(err error) (*orchestrator.StartError, bool) {
	var start *orchestrator.StartError
	ok := errors.As(err, &start)
	return start, ok
}
