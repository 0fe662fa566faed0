package runtime

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestExecIsInsideInEveryRespect(t *testing.T) {
	cfg := newConfig(t, "sleep", "1000")
	cfg.Spec.Hostname = "box"
	c := running(t, cfg)
	text, _ := inside(t, c, cfg, nil, "sh", "-c", `
for n in mnt pid net ipc uts cgroup; do [ "$(readlink /proc/1/ns/$n)" = "$(readlink /proc/self/ns/$n)" ] || echo "other $n namespace"; done
cmp /proc/1/cgroup /proc/self/cgroup || echo other cgroups
for f in CapEff CapBnd Seccomp NoNewPrivs; do [ "$(grep ^$f: /proc/1/status)" = "$(grep ^$f: /proc/self/status)" ] || echo "other $f"; done
hostname; pwd; ls /proc/self/fd | tr '\n' ' '; echo $HOME`)
	if text != "box\n/\n0 1 2 3 /root\n" {
		t.Errorf("inside:\n%s", text)
	}
	// The namespaced view says "/" everywhere; the host's tells the truth.
	x, err := Exec(ExecTarget{PID: c.PID, PIDFD: c.PIDFD, CgroupPath: cfg.CgroupPath}, &specs.Process{Args: []string{"sleep", "1000"}, Cwd: "/"}, nil, nil, [3]*os.File{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.PIDFD.Close()
	pids, err := Pids(cfg.CgroupPath)
	if err != nil || len(pids) != 2 {
		t.Errorf("processes of the container: %v, %v", pids, err)
	}
	if err := KillAll(cfg.CgroupPath); err != nil {
		t.Error(err)
	}
	if status, err := Reap(x.PID); err != nil || status.Signal() != unix.SIGKILL {
		t.Errorf("ended by %v (%v), want SIGKILL", status.Signal(), err)
	}
}

func TestExecAsAnotherUser(t *testing.T) {
	cfg := newConfig(t, "sleep", "1000")
	c := running(t, cfg)
	text, _ := inside(t, c, cfg, func(p *specs.Process) {
		p.User.Username, p.Cwd, p.NoNewPrivileges = "web", "/tmp", true
		p.Env = append(p.Env, "X=1")
	}, "sh", "-c", "id; pwd; echo $HOME $X; grep -E '^(CapEff|NoNewPrivs)' /proc/self/status; echo to stdout > /dev/stdout")
	want := "uid=1000(web) gid=1001(web) groups=50(staff),1001(web)\n/tmp\n/srv 1\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nto stdout\n"
	if text != want {
		t.Errorf("inside:\n%swant:\n%s", text, want)
	}
}

func TestExecThatCannotRun(t *testing.T) {
	cfg := newConfig(t, "sleep", "1000")
	c := running(t, cfg)
	target := ExecTarget{PID: c.PID, CgroupPath: cfg.CgroupPath}
	p := *cfg.Spec.Process
	for name, want := range map[string]int{"nope": 127, "/no/such": 127, "/etc/passwd": 126} {
		p.Args = []string{name}
		_, err := Exec(target, &p, cfg.Spec.Linux.Seccomp, nil, [3]*os.File{})
		var exec *ExecError
		if !errors.As(err, &exec) || exec.Code != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.Args, p.Cwd = []string{"true"}, "/no/such"
	if _, err := Exec(target, &p, nil, nil, [3]*os.File{}); err == nil || !strings.Contains(err.Error(), `working directory "/no/such"`) {
		t.Errorf("a working directory that is not there: %v", err)
	}
	p.Cwd, p.User.Username = "/", "stranger"
	if _, err := Exec(target, &p, nil, nil, [3]*os.File{}); err == nil || !strings.Contains(err.Error(), "unable to find user stranger") {
		t.Errorf("a user that is not there: %v", err)
	}
}

func TestExecIntoAnEndedContainer(t *testing.T) {
	cfg := newConfig(t, "true")
	c, err := Create(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.PIDFD.Close()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := Reap(c.PID); err != nil {
		t.Fatal(err)
	}
	_, err = Exec(ExecTarget{PID: c.PID, PIDFD: c.PIDFD, CgroupPath: cfg.CgroupPath}, cfg.Spec.Process, nil, nil, [3]*os.File{})
	if err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("got %v", err)
	}
}
