package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSyslogDriver has the host's syslog get what a container writes; logs
// shows it all the same.
func TestSyslogDriver(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	socket := filepath.Join(h.root, "log.sock")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir := h.project("logged", "compose.yml", `
services:
  app:
    image: busybox
    command: sh -c "echo to syslog; echo bad >&2; sleep 600"
    logging:
      driver: syslog
      options: {syslog-address: "unixgram://`+socket+`", tag: "{{.Name}}", syslog-facility: local3}
  none:
    image: busybox
    command: echo unheard
    logging: {driver: none}
`)
	h.in(dir, "up", "-d").ok()
	var got []string
	for len(got) < 2 {
		buf := make([]byte, 4096)
		_ = c.SetReadDeadline(time.Now().Add(patience))
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("%v; got %q", err, got)
		}
		got = append(got, string(buf[:n]))
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{"<158>", "<155>", "logged-app-1[", "]: to syslog", "]: bad"} {
		if !strings.Contains(text, want) {
			t.Errorf("syslog got %q, want %q", got, want)
		}
	}
	// The two streams are two pipes: which one is read first is anybody's guess.
	eventually(t, "the log", func() error {
		lines := strings.Split(strings.TrimSpace(h.in(dir, "logs", "--no-log-prefix", "--no-color", "app").ok().stdout), "\n")
		slices.Sort(lines)
		if !slices.Equal(lines, []string{"bad", "to syslog"}) {
			return fmt.Errorf("it says %q", lines)
		}
		return nil
	})
	h.in(dir, "logs", "none").ok().says("")
	h.in(dir, "down", "-t", "0").ok()
	bad := h.project("bad", "compose.yml", "services: {app: {image: busybox, command: \"true\", logging: {driver: syslog, options: {syslog-address: \"unixgram:///nowhere\"}}}}\n")
	h.in(bad, "up", "-d").fails(1, "failed to initialize logging driver syslog")
	h.in(bad, "down").ok()
}
