package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"compose/cmd/compose/render"
	"compose/orchestrator"
)

// wantsMenu says whether `up` shows the keys there are: by default on a
// terminal, which COMPOSE_MENU and --menu may deny.
func (app *App) wantsMenu(asked, isSet bool) bool {
	mode, err := app.progressMode()
	if err != nil || mode != render.ModeTTY || !term.IsTerminal(int(app.Stdout.Fd())) || !term.IsTerminal(int(app.Stdin.Fd())) {
		return false
	}
	if isSet {
		return asked
	}
	if _, ok := os.LookupEnv("COMPOSE_MENU"); ok {
		return envBool("COMPOSE_MENU")
	}
	return true
}

// keyboard is the user's terminal while single keys are read from it.
type keyboard struct {
	fd       int
	old, raw unix.Termios
	resumed  chan os.Signal
}

// openKeyboard has the terminal hand over keys as they are typed, and show none
// of them. Ctrl+C and Ctrl+Z stay signals.
func openKeyboard(f *os.File) (*keyboard, error) {
	k := &keyboard{fd: int(f.Fd()), resumed: make(chan os.Signal, 1)}
	old, err := unix.IoctlGetTermios(k.fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	k.old, k.raw = *old, *old
	k.raw.Lflag &^= unix.ICANON | unix.ECHO
	k.raw.Cc[unix.VMIN], k.raw.Cc[unix.VTIME] = 1, 0
	signal.Notify(k.resumed, syscall.SIGCONT)
	return k, unix.IoctlSetTermios(k.fd, unix.TCSETS, &k.raw)
}

func (k *keyboard) close() {
	signal.Stop(k.resumed)
	_ = unix.IoctlSetTermios(k.fd, unix.TCSETS, &k.old) // there is nothing else to try
}

// shortcuts shows the menu of an `up` in the foreground and passes on what the
// user asks for with its keys, until the function that it returns is called.
func (s *session) shortcuts(p *types.Project, services []string, attach *orchestrator.AttachOptions) (stop func()) {
	k, err := openKeyboard(s.app.Stdin)
	if err != nil {
		s.app.warn("the keys of the menu cannot be read: " + err.Error())
		return func() {}
	}
	menu := s.menu
	controls := make(chan orchestrator.AttachControl, 1)
	attach.Controls, attach.Watching = controls, menu.Watching
	interrupts, passed := attach.Interrupts, make(chan os.Signal, cap(attach.Interrupts))
	attach.Interrupts = passed
	go func() {
		for sig := range interrupts {
			menu.Close()
			passed <- sig
		}
	}()
	go func() {
		for range k.resumed {
			_ = unix.IoctlSetTermios(k.fd, unix.TCSETS, &k.raw) // the shell has had it
			menu.Refresh()
		}
	}()
	go func() {
		key := make([]byte, 1)
		for {
			if _, err := s.app.Stdin.Read(key); err != nil {
				return
			}
			switch key[0] {
			case 'w':
				if err := s.CheckWatch(p, services); err != nil {
					menu.Notice(err.Error())
					continue
				}
				controls <- orchestrator.ToggleWatch
			case 'd':
				menu.Close()
				controls <- orchestrator.Detach
			case '\n', '\r':
				_, _ = menu.Write([]byte("\n")) // as one sets marks in a log
			}
		}
	}()
	return func() {
		menu.Close()
		k.close()
	}
}
