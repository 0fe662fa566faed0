package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// screen is a terminal on which a command runs, and what it has shown.
type screen struct {
	t      testing.TB
	master *os.File
	mu     sync.Mutex
	text   strings.Builder
	ended  chan error
}

// onScreen starts a command on a terminal of its own.
func (h *host) onScreen(dir string, rows, columns uint16, args ...string) *screen {
	h.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		h.t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		h.t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	defer slave.Close()
	s := &screen{t: h.t, master: master, ended: make(chan error, 1)}
	var cmd *exec.Cmd
	if args[0] == "docker" {
		cmd = h.command(context.Background(), dir, args[1:]...)
		cmd.Args[0] = args[0]
	} else {
		cmd = h.command(context.Background(), dir, args...)
	}
	cmd.Env = append(cmd.Env, "COMPOSE_PROGRESS=auto")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() { s.ended <- cmd.Wait() }()
	h.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, if all is well
		master.Close()
	})
	return s
}

func (s *screen) shows(want string) {
	s.t.Helper()
	eventually(s.t, "the screen", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !strings.Contains(s.text.String(), want) {
			return fmt.Errorf("no %q in %q", want, s.text.String())
		}
		return nil
	})
}

func (s *screen) types(keys string) {
	s.t.Helper()
	if _, err := s.master.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// ends waits for the command and compares its exit status.
func (s *screen) ends(code int) {
	s.t.Helper()
	select {
	case err := <-s.ended:
		got := 0
		if err != nil {
			got = -1
			if e, ok := err.(interface{ ExitCode() int }); ok {
				got = e.ExitCode()
			}
		}
		if got != code {
			s.t.Errorf("exit status %d, want %d; the screen shows %q", got, code, s.seen())
		}
	case <-time.After(patience):
		s.t.Fatalf("the command goes on; the screen shows %q", s.seen())
	}
}

// resized changes the screen's size and waits until the shell that runs there
// says so.
func (s *screen) resized() {
	s.t.Helper()
	if err := unix.IoctlSetWinsize(int(s.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 11, Col: 22}); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the new size", func() error {
		s.types("stty size\n")
		time.Sleep(50 * time.Millisecond)
		if seen := s.seen(); !strings.Contains(seen, "11 22") {
			return fmt.Errorf("the screen shows %q", seen)
		}
		return nil
	})
}

// TestTerminal types into containers as a user would.
func TestTerminal(t *testing.T) {
	t.Parallel()
	h, dir := pairUp(t)
	for _, args := range [][]string{{"exec", "db"}, {"run", "--rm", "db"}} {
		// It has the size from the first moment on.
		s := h.onScreen(dir, 30, 100, append(args, "stty", "size")...)
		s.ends(0)
		s.shows("30 100\r\n")

		s = h.onScreen(dir, 30, 100, append(args, "sh")...)
		s.types("tty; stty size; echo $((6*7))\n")
		s.shows("/dev/pts/0\r\n30 100\r\n42\r\n")
		s.resized()
		s.types("sleep 1234\n")
		eventually(t, "the sleep", func() error {
			if top := h.in(dir, "top").ok().stdout; !strings.Contains(top, "sleep 1234") {
				return errors.New(top)
			}
			return nil
		})
		s.types("\x03") // Ctrl+C ends the sleep, not the shell
		s.types("exit 9\n")
		s.ends(9)
	}
	// Progress is redrawn in place.
	up := h.onScreen(dir, 30, 100, "up", "-d", "--force-recreate")
	up.shows("[+] Running 3/3")
	up.shows("Container pair-db-1")
	up.ends(0)
	h.in(dir, "down").ok()
}

// TestCtrlC stops what a foreground up has started; a second one kills.
func TestCtrlC(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("fg", "compose.yaml", `services:
  polite:
    image: busybox
    stop_grace_period: 3m
    command: sh -c 'trap "echo bye; exit 0" TERM; echo ready; while :; do sleep 0.1; done'
  stubborn:
    image: busybox
    stop_grace_period: 3m
    command: sh -c 'trap "echo never" TERM; echo deaf; while :; do sleep 0.1; done'
    profiles: [stubborn]
`)
	s := h.onScreen(dir, 30, 100, "up")
	s.shows("ready")
	s.types("\x03")
	s.shows("Gracefully Stopping... press Ctrl+C again to force")
	s.shows("bye")
	s.shows("exited with code 0")
	s.ends(130)
	h.in(dir, "ps", "-q").says("")

	s = h.onScreen(dir, 30, 100, "--profile", "stubborn", "up")
	s.shows("ready")
	s.shows("deaf")
	s.types("\x03")
	s.shows("never")
	s.types("\x03")
	s.shows("exited with code 137")
	s.ends(130)
	h.in(dir, "--profile", "stubborn", "ps", "-q").says("")
	h.in(dir, "--profile", "stubborn", "down").ok()
}
