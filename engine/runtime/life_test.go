package runtime

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPauseAndKill(t *testing.T) {
	cfg := newConfig(t, "sleep", "1000")
	c := running(t, cfg)
	if err := Pause(cfg.CgroupPath); err != nil {
		t.Error(err)
	}
	if err := Resume(cfg.CgroupPath); err != nil {
		t.Error(err)
	}
	pids, err := Pids(cfg.CgroupPath)
	if err != nil || len(pids) != 1 || pids[0] != c.PID {
		t.Errorf("processes: %v, %v; want %d", pids, err, c.PID)
	}
	if err := KillAll(cfg.CgroupPath); err != nil {
		t.Error(err)
	}
	if status, err := Reap(c.PID); err != nil || status.Signal() != unix.SIGKILL {
		t.Errorf("ended by %v (%v), want SIGKILL", status.Signal(), err)
	}
}

// TestCgroupBegun: a cgroup that was begun before is waited for, and not made
// twice; where that has failed it is made by Create.
func TestCgroupBegun(t *testing.T) {
	for name, begin := range map[string]func(path string) *Cgroup{
		"made": BeginCgroup,
		"failed": func(string) *Cgroup {
			c := BeginCgroup("..")
			if c.Wait() == nil {
				t.Error("a cgroup above all others is made")
			}
			return c
		},
	} {
		cfg := newConfig(t, "sleep", "1000")
		cfg.Cgroup = begin(cfg.CgroupPath)
		c := running(t, cfg)
		pids, err := Pids(cfg.CgroupPath)
		if err != nil || len(pids) != 1 || pids[0] != c.PID {
			t.Errorf("%s: processes: %v, %v; want %d", name, pids, err, c.PID)
		}
	}
	cfg := newConfig(t, "sleep", "1000")
	cfg.Cgroup = &Cgroup{made: make(chan struct{})}
	close(cfg.Cgroup.made) // it says so, and is not there
	if _, err := Create(cfg); err == nil {
		t.Error("it is made anew")
	}
}

// TestStreamsBlock: what Go hands out as a pipe does not block, and a program
// would lose what it writes to one that is full.
func TestStreamsBlock(t *testing.T) {
	text, status := output(t, sh(t, "grep flags /proc/self/fdinfo/1; head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end"))
	first, rest, _ := strings.Cut(text, "\n")
	flags, err := strconv.ParseInt(strings.TrimSpace(strings.TrimPrefix(first, "flags:")), 8, 64)
	if err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("standard output is open with %q", first)
	}
	if len(rest) != 1000000+len("\nend\n") || status.ExitStatus() != 0 {
		t.Errorf("%d bytes came through", len(rest))
	}
}

func TestManyAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 12 {
		cfg := newConfig(t, "echo", fmt.Sprint(i))
		wg.Go(func() {
			r, w, err := os.Pipe()
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			cfg.Stdout = w
			c, err := Create(cfg)
			w.Close()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.PIDFD.Close()
			if err := c.Start(); err != nil {
				t.Error(err)
			}
			line, _ := bufio.NewReader(r).ReadString('\n')
			if status, err := Reap(c.PID); err != nil || status.ExitStatus() != 0 || line != fmt.Sprintln(i) {
				t.Errorf("%d: printed %q, %v, %v", i, line, status, err)
			}
		})
	}
	wg.Wait()
}

// TestParentDies kills the parent while its container waits for the start: a
// process that nobody will ever release has to go by itself.
func TestParentDies(t *testing.T) {
	cfg := newConfig(t, "sleep", "1000")
	parent := exec.Command("/proc/self/exe")
	parent.Env = append(os.Environ(), "COMPOSE_RUNTIME_TEST=sleep 1000", "UPPER="+cfg.RootFS.Upper, "WORK="+cfg.RootFS.Work,
		"LOWER="+cfg.RootFS.Lowers[0], "CGROUP="+cfg.CgroupPath)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the parent said %q", line)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	_ = parent.Process.Kill()
	_ = parent.Wait()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Minute.Milliseconds()))
	if err != nil || n != 1 {
		t.Errorf("the container's process %d outlives its parent (%d, %v)", pid, n, err)
	}
}

// TestInitCannotBeWritten looks from inside at the binary that is the init.
func TestInitCannotBeWritten(t *testing.T) {
	cfg := sh(t, "echo x 2>/dev/null >> /proc/1/exe && echo WRITTEN; readlink /proc/1/exe > /dev/null && echo seen")
	cfg.Init = true
	if text, _ := output(t, cfg); text != "seen\n" {
		t.Errorf("inside: %q", text)
	}
}

// TestBoundDevIsLeftAlone: a /dev of the host must not get our nodes and links.
func TestBoundDevIsLeftAlone(t *testing.T) {
	host := t.TempDir()
	mountTmpfs(t, host)
	if err := unix.Mknod(host+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	cfg := newConfig(t, "ls", "/dev")
	for i, m := range cfg.Spec.Mounts {
		if m.Destination == "/dev" {
			cfg.Spec.Mounts[i] = bind(host, "/dev")
		}
	}
	if text, _ := output(t, cfg); strings.Contains(text, "zero") || strings.Contains(text, "ptmx") {
		t.Errorf("inside: %q", text)
	}
}
