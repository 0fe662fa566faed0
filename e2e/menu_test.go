package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// seen is what a screen has shown so far.
func (s *screen) seen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestMenu types the keys of the menu that up shows on a terminal.
func TestMenu(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("keys", "compose.yml", `
services:
  web:
    image: busybox
    command: sh -c 'echo up and running; exec sleep 600'
    stop_grace_period: 0s
    develop: {watch: [{action: sync, path: ./src, target: /app}]}
  plain:
    image: busybox
    command: sh -c 'echo plainly; exec sleep 600'
    stop_grace_period: 0s
`, "src/a", "1")
	up := h.onScreen(dir, 30, 100, "--ansi", "never", "up")
	up.shows("up and running")
	if strings.Contains(up.seen(), "Detach") {
		t.Error("there is a menu without control characters")
	}
	up.types("\x03")
	up.ends(130)

	up = h.onScreen(dir, 30, 100, "up", "--menu", "--no-color")
	up.shows("up and running")
	up.shows("w Enable Watch   d Detach")
	up.types("w")
	up.shows("⦿ Watch enabled\r\n")
	up.shows("w Disable Watch   d Detach")
	write(t, filepath.Join(dir, "src/a"), "2")
	h.finds(dir, "web", "2", "cat", "/app/a")
	up.shows("Syncing service")
	up.types("w")
	up.shows("⦿ Watch disabled\r\n")
	up.types("\n")
	up.types("d")
	up.ends(0)
	h.in(dir, "ps", "--services").ok().says("plain\nweb")

	// Where there is nothing to watch, the key says so; Ctrl+C stops as ever.
	up = h.onScreen(dir, 30, 100, "up", "plain")
	up.shows("Detach")
	up.types("w")
	up.shows("none of the selected services is configured for watch")
	up.types("\x03")
	up.shows("Gracefully Stopping... press Ctrl+C again to force")
	up.ends(130)
	eventually(t, "the other service", func() error {
		if out := h.in(dir, "ps", "--services").ok().stdout; strings.TrimSpace(out) != "web" {
			return fmt.Errorf("%q runs", out)
		}
		return nil
	})
	for _, args := range [][]string{{"up", "--menu=false"}, {"up"}} {
		up = h.onScreen(dir, 30, 100, args...)
		up.shows("plainly")
		up.types("\x03")
		up.ends(130)
		if strings.Contains(up.seen(), "Detach") {
			t.Errorf("there is a menu: %q", up.seen())
		}
		write(t, filepath.Join(dir, ".env"), "COMPOSE_MENU=false\n")
	}
	h.in(dir, "down").ok()
}
