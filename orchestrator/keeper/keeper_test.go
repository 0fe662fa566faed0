package keeper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"compose/internal/filelock"
)

// TestMain lets the test binary be a supervisor that lives three lives: in the
// first it starts a child and leaves a pipe with the keeper, and dies; in the
// second it takes both over; in the third it ends what it should.
func TestMain(m *testing.M) {
	if os.Args[0] == SupervisorName {
		supervise()
	}
	os.Exit(m.Run())
}

func note(dir, text string) {
	f, err := os.OpenFile(filepath.Join(dir, "notes"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(f, text)
	f.Close()
}

func supervise() {
	link, order, left, err := Open()
	if err != nil {
		os.Exit(1)
	}
	dir := order.State
	life, _ := os.ReadFile(filepath.Join(dir, "life"))
	os.WriteFile(filepath.Join(dir, "life"), append(life, '1'), 0o600)
	switch len(life) {
	case 0:
		r, w, _ := os.Pipe()
		link.Store(map[string]*os.File{"c1/stdout": r, "c2/stdout": r})
		link.Drop("c2")
		child := exec.Command("/bin/busybox", "sh", "-c", "echo from the child; read x; exit 7")
		stdinR, stdinW, _ := os.Pipe()
		link.Store(map[string]*os.File{"c1/stdin": stdinW})
		child.Stdin, child.Stdout = stdinR, w
		if err := child.Start(); err != nil {
			panic(err)
		}
		os.WriteFile(filepath.Join(dir, "child"), []byte(strconv.Itoa(child.Process.Pid)), 0o600)
		Ready(nil)
		unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	case 1:
		note(dir, fmt.Sprintf("left %d", len(left)))
		line := make([]byte, 15)
		io.ReadFull(left["c1/stdout"], line)
		note(dir, string(line))
		left["c1/stdin"].Write([]byte("go\n"))
		pid := child(dir)
		e := <-link.Exit(pid, 0)
		note(dir, fmt.Sprintf("exit %d", e.Status.ExitStatus()))
		unix.Kill(os.Getpid(), unix.SIGKILL) // before it was noted
		select {}
	default:
		e := <-link.Exit(child(dir), 0)
		note(dir, fmt.Sprintf("again %d", e.Status.ExitStatus()))
		link.Noted(child(dir))
		link.Drop("c1")
		if len(life) == 2 {
			note(dir, "become")
			file, _ := os.Open(dir)
			link.Store(map[string]*os.File{"kept": file})
			// The keeper dies; we go on as the keeper.
			unix.Kill(os.Getppid(), unix.SIGKILL)
			<-link.Lost()
			note(dir, fmt.Sprint("failed: ", link.Become(order)))
		}
		os.Exit(0)
	}
}

func child(dir string) int {
	data, _ := os.ReadFile(filepath.Join(dir, "child"))
	pid, _ := strconv.Atoi(string(data))
	return pid
}

func TestThreeLives(t *testing.T) {
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	path := filepath.Join(dir, "lock")
	lock, err := filelock.Exclusive(path)
	if err != nil {
		t.Fatal(err)
	}
	// The fourth life, after the exec in place, finds no such exit any more.
	pair, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Order(Order{State: dir, Run: dir, Project: "project"}, lock.File(), log); err != nil {
		t.Errorf("order: %v", err)
	}
	lock.Unlock()
	want := "left 2\nfrom the child\n\nexit 7\nagain 7\nbecome\n"
	deadline := time.Now().Add(time.Minute)
	for {
		notes, _ := os.ReadFile(filepath.Join(dir, "notes"))
		life, _ := os.ReadFile(filepath.Join(dir, "life"))
		if string(notes) == want && len(life) == 4 {
			break
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("%d lives, notes:\n%s\nwant:\n%s\nlog:\n%s", len(life), notes, want, said)
		}
		time.Sleep(10 * time.Millisecond)
	}
	// Through all these lives the lock was held, and is.
	if _, err := filelock.TryExclusive(path); !errors.Is(err, filelock.ErrHeld) {
		t.Errorf("the lock: %v", err)
	}
	// The one that became the keeper has a supervisor that waits for an exit
	// which never comes: end both.
	ended := 0
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		found := 0
		for _, p := range procs {
			data, _ := os.ReadFile(p)
			if strings.Contains(string(data), "\x00"+dir+"\x00") {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(p)))
				unix.Kill(pid, unix.SIGKILL)
				found++
				ended++
			}
		}
		if found == 0 && ended > 0 {
			if lock, err := filelock.TryExclusive(path); err != nil {
				t.Errorf("the lock after the end: %v", err)
			} else {
				lock.Unlock()
			}
			return
		}
	}
	t.Errorf("processes are left (%d ended)", ended)
}

// TestNoOrder starts a pair that nobody gives anything to do.
func TestNoOrder(t *testing.T) {
	pair, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	keeper := waiting(t)
	pair.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := unix.Wait4(keeper, nil, 0, nil); err == unix.ECHILD {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the keeper waits on")
		}
	}
}

// waiting is the number of a keeper, child of ours, that has no order yet.
func waiting(t *testing.T) int {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		var children string
		threads, _ := filepath.Glob("/proc/self/task/*/children")
		for _, thread := range threads {
			data, _ := os.ReadFile(thread)
			children += string(data)
		}
		for _, child := range strings.Fields(children) {
			if argv, _ := os.ReadFile("/proc/" + child + "/cmdline"); strings.TrimRight(string(argv), " \x00") == Name {
				pid, _ := strconv.Atoi(child)
				return pid
			}
		}
	}
	t.Fatal("no keeper is a child of ours")
	return 0
}

// TestOrderToTheDead has a pair that ended before its order came.
func TestOrderToTheDead(t *testing.T) {
	dir := t.TempDir()
	pair, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(waiting(t), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := pair.Order(Order{State: dir, Run: dir, Project: "project"}, file, file); !errors.Is(err, ErrGone) {
		t.Errorf("order: %v", err)
	}
}

func TestGuess(t *testing.T) {
	for line, want := range map[string]bool{
		"compose up -d": true, "compose -f x.yml run --rm web true": true, "compose container run box": true, "docker start": true,
		"compose ps": false, "compose up --help": true, "compose --help up": false, "compose exec -- up": false, "compose": false,
		// The OCI runtime makes its containers itself.
		"/usr/bin/compose oci --root /r run box": false, "compose --run-root /r oci start box": false, "/usr/bin/compose-oci start box": false,
	} {
		if got := startsContainers(strings.Fields(line)); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
	args := strings.Fields("-p one --root=/r up")
	if flag(args, "-p", "") != "one" || flag(args, "--root", "x") != "/r" || flag(args, "--run-root", "x") != "x" || flag(args, "up", "y") != "y" {
		t.Error("flags are not found")
	}
}

// TestInherit gives a keeper more than an argument of execve could take.
func TestInherit(t *testing.T) {
	l := &Link{files: map[string]*os.File{}, exits: map[int]Exit{}, waits: map[int][]chan Exit{}}
	const at = 1005
	l.exited(strings.TrimPrefix(Exit{PID: 12, Status: 7 << 8, Ticks: at}.message(), "exit "))
	if e := <-l.Exit(12, at); e.Status.ExitStatus() != 7 {
		t.Errorf("exit %+v", e)
	}
	select {
	case e := <-l.Exit(12, at+1):
		t.Errorf("%+v is another process's exit", e)
	default:
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, Exit{PID: 12, Status: 7 << 8, Ticks: at}.message())
	const many = 2000
	for i := range many {
		fmt.Fprintf(f, "file %d %s/name with a space %d\n", 1000+i, strings.Repeat("c", 64), i)
	}
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	k := &keeper{files: map[string]int{}, exits: map[int]Exit{}}
	if err := k.inherit(strconv.Itoa(fd)); err != nil {
		t.Fatal(err)
	}
	if len(k.files) != many || k.files[strings.Repeat("c", 64)+"/name with a space 7"] != 1007 || k.exits[12].Status != 7<<8 {
		t.Errorf("%d files, exits %v", len(k.files), k.exits)
	}
	if err := k.inherit("none"); err == nil {
		t.Error("a bad number is no error")
	}
}
