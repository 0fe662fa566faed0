package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"compose/internal/roots"
)

// powerOff ends every process of an installation at once and takes away what
// a reboot takes away.
func (h *host) powerOff() {
	h.t.Helper()
	r, err := roots.New(h.root, "")
	if err != nil {
		h.t.Fatal(err)
	}
	var pids []int
	for _, id := range strings.Fields(h.docker("ps", "-q", "--no-trunc").ok().stdout) {
		pid, err := strconv.Atoi(strings.TrimSpace(h.docker("inspect", "-f", "{{.State.Pid}}", id).ok().stdout))
		if err != nil {
			h.t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		argv, _ := os.ReadFile(path)
		if bytes.HasPrefix(argv, []byte("compose-")) && bytes.Contains(argv, []byte("\x00"+h.root+"\x00")) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	// All at the same moment: one that is left brings the others back.
	for _, signal := range []unix.Signal{unix.SIGSTOP, unix.SIGKILL} {
		for _, pid := range pids {
			_ = unix.Kill(pid, signal)
		}
	}
	eventually(h.t, "the end of all processes", func() error {
		if left := processesOf(h.root, "compose-"+r.Tag()); len(left) > 0 {
			return fmt.Errorf("%q", left)
		}
		return nil
	})
	for _, name := range links(r.Tag()) {
		_ = exec.Command("ip", "link", "del", name).Run() // it may go by itself
	}
	_ = exec.Command("nft", "delete", "table", "inet", "compose-"+r.Tag()).Run() // likewise
	if err := os.RemoveAll(r.Run); err != nil {
		h.t.Fatal(err)
	}
}

// TestResume switches the host off and on again.
func TestResume(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	service := func(name, restart string) string {
		return fmt.Sprintf("  %s: {image: busybox, command: sleep 600, restart: %q}\n", name, restart)
	}
	dir := h.project("back", "compose.yml", "services:\n"+service("always", "always")+service("stopped", "always")+
		service("unless", "unless-stopped")+service("halted", "unless-stopped")+service("once", "no")+`  web:
    image: busybox
    command: httpd -f -p 80 -h /etc
    restart: always
    ports: ["127.0.0.1::80"]
    volumes: ["kept:/kept"]
volumes: {kept: {}}
`)
	h.in(dir, "up", "-d").ok()
	h.docker("run", "-d", "--name", "alone", "--restart", "always", "busybox", "sleep", "600").ok()
	h.in(dir, "exec", "-T", "web", "sh", "-c", "echo data >/kept/f; sync").ok()
	h.in(dir, "stop", "-t", "0", "stopped", "halted").ok()
	h.powerOff()

	h.compose("system", "resume").ok()
	running := func(want string) {
		t.Helper()
		eventually(t, "the containers that run", func() error {
			if got := strings.Join(strings.Fields(h.in(dir, "ps", "--services").ok().stdout), " "); got != want {
				return fmt.Errorf("%s, want %s", got, want)
			}
			return nil
		})
	}
	running("always stopped unless web")
	h.docker("inspect", "-f", "{{.State.Running}}", "alone").says("true") // resume returns when all have been started
	h.in(dir, "ps", "-a", "--format", "{{.ExitCode}}", "once").ok().says("255")
	port := strings.TrimSpace(h.in(dir, "port", "web", "80").ok().stdout)
	eventually(t, "the published port", func() error { _, err := get("http://" + port + "/passwd"); return err })
	h.in(dir, "exec", "-T", "web", "cat", "/kept/f").ok().says("data")
	h.in(dir, "exec", "-T", "web", "nslookup", "always").ok()
	h.compose("system", "resume").ok() // nothing is left to do
	running("always stopped unless web")

	if _, err := os.Stat("/run/systemd/system"); err != nil {
		h.compose("system", "enable").fails(1, "this host is not run by systemd")
	}
	h.docker("rm", "-f", "alone").ok()
	h.in(dir, "down", "-v", "-t", "0").ok()
}
