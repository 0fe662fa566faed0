package e2e

import (
	"context"
	"strings"
	"testing"
)

// TestUmask builds and runs as somebody whose new files nobody else may read:
// what is in a container is for the container's users all the same.
func TestUmask(t *testing.T) {
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("strict", "compose.yaml", `
services:
  a:
    build: {dockerfile_inline: "FROM busybox\nUSER 1000\nRUN cat /etc/hosts /etc/resolv.conf /etc/hostname"}
    working_dir: /made/for/it
    command: sh -c 'cat /etc/hosts /etc/resolv.conf /etc/hostname >/dev/null && ls /data /made/for/it && echo fine'
    volumes: [data:/data]
volumes: {data: {}}
`)
	cmd := h.command(context.Background(), dir, "run", "--rm", "a")
	cmd.Args = append([]string{"sh", "-c", `umask 077; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "fine\n") {
		t.Errorf("%v, %s", err, out)
	}
	h.in(dir, "down", "-v").ok()
}
