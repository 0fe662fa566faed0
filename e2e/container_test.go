package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestContainerRun runs containers outside a project.
func TestContainerRun(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	h.docker("run", "--rm", "busybox", "echo", "hello").ok().says("hello\n")
	h.docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3").fails(3, "err")
	h.docker("run", "--rm", "busybox", "nosuch").fails(127, `exec: "nosuch": executable file not found in $PATH`)
	h.docker("run", "--rm", "--memory", "lots", "busybox").fails(125, `"lots" for --memory`)
	h.docker("run", "--rm", "--network", "nosuch", "busybox").fails(125, "network nosuch not found")
	h.docker("run", "--pull", "never", "nosuch").fails(125, "No such image: nosuch")
	in := h.runAs("docker", patience, h.root, bytes.NewReader([]byte("one\ntwo\n")), "run", "--rm", "-i", "busybox", "cat")
	in.ok().says("one\ntwo\n")

	// Everything that is asked for is seen from inside.
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte("# names\nFROM_FILE='as it is'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := h.docker("run", "--rm", "--name", "all", "-e", "A=1", "--env-file", file, "-u", "guest", "-w", "/tmp", "-h", "box",
		"--add-host", "other:10.1.2.3", "--read-only", "--tmpfs", "/scratch", "--cap-drop", "ALL", "--pids-limit", "50",
		"--ulimit", "nofile=123:456", "--sysctl", "net.ipv4.ip_default_ttl=77", "--shm-size", "1m", "--init",
		"--mount", "type=volume,target=/data", "-v", h.root+":/host:ro", "--entrypoint", "sh", "busybox", "-c", `
			echo $A $FROM_FILE; id -un; pwd; hostname; grep other /etc/hosts; ulimit -Sn; ulimit -Hn
			cat /proc/sys/net/ipv4/ip_default_ttl; grep CapEff /proc/self/status; df -k /dev/shm | tail -1 | awk '{print $2}'
			touch /x 2>&1; touch /host/x 2>&1; grep -c " /data " /proc/mounts; cat /proc/1/comm`).ok().stdout
	for i, want := range []string{
		"1 'as it is'", "guest", "/tmp", "box", "10.1.2.3\tother", "123", "456", "77", "CapEff:\t0000000000000000", "1024",
		"touch: /x: Read-only file system", "touch: /host/x: Permission denied", "1", "compose",
	} {
		if lines := strings.Split(out, "\n"); i >= len(lines) || lines[i] != want {
			t.Errorf("line %d is not %q:\n%s", i+1, want, out)
		}
	}
	h.docker("volume", "ls", "-q")
	h.docker("ps", "-aq").ok().says("")
}

// TestContainerPatience leaves a process to itself that three Ctrl+C have not
// ended.
func TestContainerPatience(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	s := h.onScreen(h.root, 30, 100, "docker", "run", "--name", "deaf", "busybox", "sh", "-c", "trap : INT; echo up; while :; do sleep 0.1; done")
	s.shows("up")
	eventually(t, "the client's patience ends", func() error {
		if seen := s.seen(); !strings.Contains(seen, "got 3 SIGTERM/SIGINTs, forcefully exiting") {
			s.types("\x03") // those that come at the same moment count once
			return errors.New(seen)
		}
		return nil
	})
	s.ends(1)
	h.docker("inspect", "-f", "{{.State.Running}}", "deaf").says("true")
	h.docker("rm", "-f", "deaf").ok()
}

// TestContainerLife takes a container through its life with Docker's verbs.
func TestContainerLife(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	cid := filepath.Join(t.TempDir(), "cid")
	id := strings.TrimSpace(h.docker("run", "-d", "--name", "web", "--cidfile", cid, "-p", "127.0.0.1:0:80", "-l", "tier=front", "busybox",
		"sh", "-c", `echo page >/var/www/index.html; echo started; echo oops >&2; exec httpd -f -h /var/www`).ok().stdout)
	if saved, err := os.ReadFile(cid); err != nil || string(saved) != id || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(id) {
		t.Errorf("ID %q, in the file %q, %v", id, saved, err)
	}
	address := strings.TrimSpace(h.docker("port", "web", "80").ok().stdout)
	eventually(t, "the page", func() error { _, err := get("http://" + address); return err })
	h.docker("port", "web").says("80/tcp -> " + address + "\n")
	h.docker("run", "-d", "--name", "web", "busybox").fails(125, `The container name "/web" is already in use`)

	eventually(t, "its output", func() error {
		if logs := h.docker("logs", "web").ok(); logs.stdout != "started\n" || logs.stderr != "oops\n" {
			return fmt.Errorf("%q on standard output, %q on standard error", logs.stdout, logs.stderr)
		}
		return nil
	})
	line := regexp.MustCompile(`^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES\n` + id[:12] +
		` +busybox +"sh -c 'echo page >/…" +(Less than a second|\d+ seconds?|About a minute|\d+ minutes) ago +Up (Less than a second|\d+ seconds?|About a minute|\d+ minutes) +` + regexp.QuoteMeta(address) + `->80/tcp +web\n$`)
	if ps := h.docker("ps").ok().stdout; !line.MatchString(ps) {
		t.Errorf("docker ps: %q", ps)
	}
	h.docker("ps", "-q", "--filter", "label=tier=front").says(id[:12] + "\n")
	h.docker("ps", "-q", "--filter", "name=nothing").says("")
	h.docker("ps", "--filter", "color=red").fails(1, "invalid filter 'color'")
	h.docker("ps", "--format", "{{.Names}} {{.State}} {{.Label \"tier\"}}").says("web running front\n")
	h.docker("inspect", "-f", `{{.State.Status}} {{index .Config.Labels "tier"}} {{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}`, id[:12]).
		says("running front " + address[strings.LastIndexByte(address, ':')+1:] + "\n")
	h.docker("inspect", "nosuch").fails(1, "no such object: nosuch")
	h.docker("exec", "web", "cat", "/var/www/index.html").ok().says("page\n")
	h.docker("exec", "-e", "X=5", "-w", "/tmp", "-u", "guest", id[:5], "sh", "-c", "echo $X $(pwd) $(id -un)").ok().says("5 /tmp guest\n")
	if top := h.docker("top", "web").ok().stdout; !strings.Contains(top, "httpd -f -h /var/www") {
		t.Errorf("docker top: %s", top)
	}
	h.docker("pause", "web").ok()
	h.docker("ps", "--format", "{{.Status}}", "--filter", "status=paused").ok()
	h.docker("exec", "web", "true").fails(1, "unpause")
	h.docker("unpause", "web").ok()
	h.docker("rm", "web").fails(1, "container is running: stop the container before removing or force remove")
	h.docker("rename", "web", "site").ok()
	h.docker("restart", "-t", "1", "site").ok().says("site\n")
	h.docker("kill", "-s", "KILL", "site").ok()
	h.docker("wait", "site").ok().says("137\n")
	h.docker("start", "site").ok()
	if out := h.docker("stop", "-t", "0", "site", "nosuch").fails(1, "No such container: nosuch").stdout; out != "site\n" {
		t.Errorf("stop of two of which one exists printed %q", out)
	}
	h.compose("ls", "-a", "-q").ok().says("")
	h.docker("container", "prune", "-f").ok()
	h.docker("ps", "-aq").says("")

	made := strings.TrimSpace(h.docker("create", "--name", "later", "busybox", "echo", "now").ok().stdout)
	h.docker("start", "-a", "later").ok().says("now\n")
	h.docker("rm", made).ok().says(made + "\n")
}

// TestContainerTerminal works in a container's shell as the chapter does, and
// leaves one to itself.
func TestContainerTerminal(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	s := h.onScreen(h.root, 30, 100, "docker", "run", "-it", "--rm", "--name", "shell", "busybox", "sh")
	s.types("tty; stty size; echo $((6*7))\n")
	s.shows("/dev/pts/0\r\n30 100\r\n42\r\n")
	s.resized()
	s.types("sleep 1234\n")
	eventually(t, "the sleep", func() error {
		if top := h.docker("top", "shell").ok().stdout; !strings.Contains(top, "sleep 1234") {
			return errors.New(top)
		}
		return nil
	})
	s.types("\x03") // Ctrl+C is the shell's
	s.types("echo alive $((6*6))\n")
	s.shows("alive 36")
	s.types("echo $((7*7)); \x10\x11")
	s.ends(0) // Ctrl+P Ctrl+Q leaves it
	h.docker("ps", "--format", "{{.Names}}").ok().says("shell\n")
	s = h.onScreen(h.root, 30, 100, "docker", "attach", "shell")
	s.types("echo again $((9*9)); exit 9\n")
	s.shows("again 81")
	s.ends(9)
	eventually(t, "the container's end", func() error {
		if out := h.docker("ps", "-aq").ok().stdout; out != "" {
			return os.ErrExist
		}
		return nil
	})
}

// TestContainerCrash kills the supervisor of containers outside a project.
func TestContainerCrash(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	h.docker("run", "-d", "--name", "aa", "--restart", "always", "busybox", "sh", "-c", "sleep 0.7; exit 1").ok()
	pid := ourProcess(t, "compose-supervisor", h.root, 0)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.docker("run", "--rm", "--network", "container:nosuch", "busybox", "true").fails(125, "nosuch")
	eventually(t, "the restart", func() error {
		if out := h.docker("inspect", "-f", "{{.RestartCount}}", "aa").ok().stdout; out == "0\n" {
			return os.ErrDeadlineExceeded
		}
		return nil
	})
	h.docker("rm", "-f", "aa").ok()
}

// TestContainerFiles copies files in and out, and makes archives and images
// of a container's files.
func TestContainerFiles(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("files", "one", "one\n", "tree/two", "two\n")
	if err := os.Symlink("/etc", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	do := func(args ...string) result { return h.runAs("docker", patience, dir, nil, args...) }
	h.docker("run", "-d", "--name", "up", "-v", "data:/data", "busybox", "sleep", "1000").ok()
	h.docker("create", "--name", "down", "-v", "data:/data", "busybox").ok()
	for _, name := range []string{"up", "down"} {
		do("cp", "one", name+":/tmp").ok()
		do("cp", "one", name+":/tmp/renamed").ok()
		do("cp", "tree", name+":/srv").ok()
		do("cp", "tree/.", name+":/tmp").ok()
		do("cp", "one", name+":/data/"+name).ok()
		do("cp", "one", name+":/nosuch/dir/x").fails(1, "/nosuch/dir")
		do("cp", "nosuch", name+":/tmp").fails(1, "nosuch")
		do("cp", name+":/nosuch", ".").fails(1, "could not find the file /nosuch")
		do("cp", name+":/srv", "back-"+name).ok()
		do("cp", name+":/tmp/renamed", "-").ok()
		if data, err := os.ReadFile(filepath.Join(dir, "back-"+name, "two")); err != nil || string(data) != "two\n" {
			t.Errorf("copied back: %q, %v", data, err)
		}
	}
	h.docker("exec", "up", "sh", "-c", "cat /tmp/one /tmp/renamed /srv/two /tmp/two /data/up /data/down").says("one\none\ntwo\ntwo\none\none")
	// A link in the container cannot make a copy land on the host.
	h.docker("exec", "up", "sh", "-c", "ln -s ../../../../../../../.. /top; mkdir -p /"+strings.TrimPrefix(dir, "/")).ok()
	do("cp", "one", "up:/top"+dir+"/escaped").ok()
	if _, err := os.Stat(filepath.Join(dir, "escaped")); err == nil {
		t.Error("a copy into a container has landed on the host")
	}
	h.docker("exec", "up", "cat", dir+"/escaped").says("one")
	list := do("export", "down").ok().stdout
	if !strings.Contains(list, "srv/two") || !strings.Contains(list, "bin/busybox") {
		t.Error("the exported archive lacks files")
	}
	in := h.runAs("docker", patience, dir, strings.NewReader(do("cp", "down:/srv", "-").ok().stdout), "cp", "-", "up:/var")
	in.ok()
	h.docker("exec", "up", "cat", "/var/srv/two").says("two")

	h.docker("exec", "up", "rm", "/etc/group").ok()
	diff := "\n" + h.docker("diff", "up").ok().stdout
	for _, want := range []string{"\nD /etc/group\n", "\nA /tmp/renamed\n", "\nC /tmp\n"} {
		if !strings.Contains(diff, want) {
			t.Errorf("docker diff does not say %q:\n%s", want, diff)
		}
	}
	h.docker("commit", "-c", `CMD ["cat", "/srv/two"]`, "-m", "as it is", "up", "made:one").ok()
	h.docker("run", "--rm", "made:one").says("two")
	h.docker("run", "--rm", "made:one", "ls", "/etc/group").fails(1)
	stats := h.docker("stats", "--no-stream").ok().stdout
	if !regexp.MustCompile(`^CONTAINER ID +NAME +CPU % +MEM USAGE / LIMIT +MEM % +NET I/O +BLOCK I/O +PIDS\n[0-9a-f]{12} +up +\d+\.\d\d% +\S+ / \S+ +\d+\.\d\d% +\S+ / \S+ +\S+ / \S+ +1\n$`).MatchString(stats) {
		t.Errorf("docker stats: %q", stats)
	}
	h.docker("rm", "-f", "up", "down").ok()
	h.docker("volume", "rm", "data").ok()
}
