package chaos

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"compose/internal/roots"
)

const (
	command    = "compose"
	supervisor = "compose-supervisor"
	keeper     = "compose-keeper"
)

// world is one installation and the stack that lives in it.
type world struct {
	t        *testing.T
	rand     *rand.Rand
	roots    roots.Roots
	dir      string // of the project's files
	fault    string // the file that says who dies where
	stack    *stack
	gaps     map[string]int // by container: in how many places some of its output may be missing
	registry string         // host:port of one with images to pull
	marks    int            // of one-off containers and of builds, to tell one from another
	report   *report

	// unstarted is how many runs were killed: each may have made its container
	// and not started it, which stays until the stack goes, as with Docker.
	unstarted int
}

// report is what a run of the test has come to.
type report struct {
	steps, kills, checked int
	points                map[string]int // how often somebody died there
	violations            []string
	back                  []time.Duration // until the next supervisor answered
}

func newWorld(t *testing.T, seed uint64, r *report) *world {
	t.Helper()
	root, err := os.MkdirTemp("", "cc-") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 0)), dir: filepath.Join(root, "shop"), fault: filepath.Join(root, "fault"), report: r, gaps: map[string]int{}}
	if w.roots, err = roots.New(filepath.Join(root, "s"), ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.arm("off")
	t.Cleanup(func() {
		w.arm("off")
		w.run(nil, "down", "-v", "--remove-orphans", "-t", "0")
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	w.must("image", "import", "--change", `CMD ["sh"]`, w.boxTar(root), "box")
	w.serveImages()
	w.newStack()
	return w
}

// arm writes who is to die where; see the package fault.
func (w *world) arm(line string) {
	if err := os.WriteFile(w.fault, []byte(line), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// struck says at which point somebody has died, or "".
func (w *world) struck() string {
	data, err := os.ReadFile(w.fault)
	if err != nil {
		w.t.Fatal(err)
	}
	if strings.Contains(string(data), "@") {
		return string(data)
	}
	return ""
}

// ended is how a command ended.
type ended struct {
	line           string
	stdout, stderr string
	code           int // -1: it was killed
}

func (e ended) String() string {
	return fmt.Sprintf("%s: exit %d\n%s%s", e.line, e.code, e.stdout, e.stderr)
}

// run runs a command to its end. meanwhile, if it is not nil, is called with
// its process as soon as that runs.
func (w *world) run(meanwhile func(*os.Process), args ...string) ended {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2**patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Args[0] = command
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "COMPOSE_ROOT="+w.roots.State, "COMPOSE_PROGRESS=plain", "COMPOSE_FAULT="+w.fault)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 10 * time.Second
	e := ended{line: "compose " + strings.Join(args, " ")}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	if meanwhile != nil {
		meanwhile(cmd.Process)
	}
	err := cmd.Wait()
	e.stdout, e.stderr = stdout.String(), stderr.String()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		w.t.Fatalf("%s does not end\n%s%s\n%s", e.line, e.stdout, e.stderr, w.supervisorLog())
	case errors.As(err, &exit):
		e.code = exit.ExitCode()
	case err != nil:
		w.t.Fatalf("%s: %v", e.line, err)
	}
	return e
}

// must runs a command that has to succeed.
func (w *world) must(args ...string) string {
	w.t.Helper()
	e := w.run(nil, args...)
	if e.code != 0 {
		w.t.Fatal(e)
	}
	return e.stdout
}

// processes are ours of one role, by the root that they work for. The first
// process of a container, which has its supervisor's command line until it
// executes its program, is none of them: who kills it has killed a container.
func (w *world) processes(role string) []int {
	var pids []int
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		w.t.Fatal(err)
	}
	ours, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, path := range all {
		data, _ := os.ReadFile(path) // it may be gone
		args := strings.Split(string(data), "\x00")
		if len(args) > 2 && args[0] == role && args[1] == w.roots.State {
			if ns, _ := os.Readlink(filepath.Join(filepath.Dir(path), "ns", "pid")); ns == ours {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// kill kills all processes of a role and says whether there were any.
func (w *world) kill(role string) (killed bool) { return end(w.processes(role)) > 0 }

// end kills processes, and returns how many were still there to be killed. All
// that they had open is closed by then.
func end(pids []int) (killed int) {
	var fds []int
	for _, pid := range pids {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			fds = append(fds, fd)
		}
	}
	for _, fd := range fds {
		if unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil {
			killed++
		}
	}
	soon(func() (wrong []string) {
		for _, fd := range fds {
			if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0); n == 0 {
				wrong = append(wrong, "it is still there")
			}
		}
		return wrong
	})
	for _, fd := range fds {
		unix.Close(fd)
	}
	return killed
}

func (w *world) supervisorLog() string {
	data, _ := os.ReadFile(filepath.Join(w.roots.Projects(), "shop", "supervisor.log"))
	return string(data[max(0, len(data)-4000):])
}

// containersNow are the states of all containers and the ends of their logs.
func (w *world) containersNow() string {
	var b strings.Builder
	states, _ := filepath.Glob(filepath.Join(w.roots.Containers(), "*", "state.json"))
	for _, path := range states {
		dir := filepath.Dir(path)
		state, _ := os.ReadFile(path) // it may be gone
		log, _ := os.ReadFile(filepath.Join(dir, filepath.Base(dir)+"-json.log"))
		fmt.Fprintf(&b, "%s\n%s\n%s\n", dir, state, log[max(0, len(log)-2000):])
	}
	return b.String()
}

// boxTar writes a root file system with busybox and returns its path.
func (w *world) boxTar(dir string) string {
	box, err := os.ReadFile("/bin/busybox")
	if err != nil {
		w.t.Fatalf("Debian's busybox-static is needed: %v", err)
	}
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	entry := func(h tar.Header, data []byte) {
		h.Size = int64(len(data))
		if err := tw.WriteHeader(&h); err != nil {
			w.t.Fatal(err)
		}
		if _, err := tw.Write(data); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, d := range []string{"bin/", "data/"} {
		entry(tar.Header{Name: d, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	entry(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, box)
	entry(tar.Header{Name: "data/from-the-image", Typeflag: tar.TypeReg, Mode: 0o644}, []byte("x"))
	for _, name := range []string{"sh", "cat", "sleep", "usleep", "true", "seq", "test", "dd"} {
		entry(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, nil)
	}
	if err := tw.Close(); err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(dir, "box.tar")
	f, err := os.Create(path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, &buf); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// soon waits until check finds nothing wrong and returns what it found last.
func soon(check func() []string) []string {
	deadline := time.Now().Add(*patience)
	for {
		wrong := check()
		if len(wrong) == 0 || time.Now().After(deadline) {
			return wrong
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// answers says whether the supervisor answers.
func (w *world) answers() bool {
	conn, err := net.Dial("unix", filepath.Join(w.roots.RunProject("shop"), "supervisor.sock"))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
