package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"compose/internal/roots"
)

// How much of it there is: little in make test, what the flags say in make soak.
var (
	soakCycles = flag.Int("soak-cycles", 5, "how often TestSoak brings a project up and down")
	soakScale  = flag.Int("soak-containers", 10, "how many containers TestSoak has at once")
	soakLines  = flag.Int("soak-lines", 200_000, "how many lines a container of TestSoak writes at once")
)

// tolerated is how much more a supervisor may have in memory after the cycles
// than before: some, and two huge pages that it has just begun to fill. A leak
// of two pages in each of a thousand is more.
const tolerated = 7 << 10 // KiB

// TestSoak has one supervisor go through many containers, and one host through
// many projects, and counts before and after what they hold.
func TestSoak(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("soak", "compose.yml", `services:
  anchor: {image: busybox, command: sleep 100000, init: true}
  many: {image: busybox, command: sleep 100000, init: true, profiles: [many]}
  one: {image: busybox, command: sh -c 'echo started; exec sleep 100000', init: true, profiles: [one], volumes: ['data:/data', /more], ports: ['8080']}
volumes: {data: }
`)
	other := h.project("other", "compose.yml", `services:
  one: {image: busybox, command: sleep 100000, init: true, volumes: ['data:/data', /more], ports: ['8080']}
  two: {image: busybox, command: sleep 100000, init: true, depends_on: [one]}
volumes: {data: }
networks: {default: }
`)
	h.in(dir, "up", "-d").ok()
	ours := []int{ourProcess(t, "compose-keeper", h.root, 0), ourProcess(t, "compose-supervisor", h.root, 0)}
	supervised := func() {
		h.in(dir, "--profile", "one", "up", "-d").ok()
		h.in(dir, "rm", "-s", "-f", "-v", "one").ok()
	}
	whole := func() {
		h.in(other, "up", "-d").ok()
		h.in(other, "down", "-v", "-t", "0").ok()
	}
	crowd := func() counts {
		h.in(dir, "--profile", "many", "up", "-d", "--scale", fmt.Sprintf("many=%d", *soakScale)).ok()
		full := h.count(ours)
		h.in(dir, "rm", "-s", "-f", "many").ok()
		return full
	}
	// What is made once and kept comes before the counting.
	supervised()
	whole()
	crowd()
	before := h.settled(ours, nil)
	began := time.Now()
	for range *soakCycles {
		supervised()
	}
	perSupervised := time.Since(began) / time.Duration(*soakCycles)
	began = time.Now()
	for range *soakCycles {
		whole()
	}
	perWhole := time.Since(began) / time.Duration(*soakCycles)
	after := h.settled(ours, before)
	full := crowd()
	last := h.settled(ours, before)
	t.Logf("%d containers that came and went below one supervisor, %s each; %d projects of two containers, %s each; then %d containers at once\n%s",
		*soakCycles, perSupervised.Round(time.Millisecond), *soakCycles, perWhole.Round(time.Millisecond), *soakScale,
		table([]string{"before", "after", "crowded", "at the end"}, before, after, full, last))
	for _, then := range []counts{after, last} {
		for what, n := range then {
			if grown(what, before[what], n) {
				t.Errorf("%s: %d before, %d after", what, before[what], n)
			}
		}
	}
	h.in(dir, "down", "-v", "-t", "0").ok()
}

// grown says whether there is more than what comes with use and then stays: a
// supervisor keeps a few descriptors open for the next time that so much goes
// on at once. What leaks is at least one a cycle.
func grown(what string, before, after int) bool {
	switch what {
	case memory:
		return after > before+tolerated
	case descriptors:
		return after >= before+*soakCycles
	}
	return after > before
}

// counts is how much there is of what can leak.
type counts map[string]int

const (
	memory      = "memory of keeper and supervisor (KiB)"
	descriptors = "descriptors"
)

// count counts what keeper and supervisor hold, and what there is on the host
// and on disk of this root.
func (h *host) count(ours []int) counts {
	h.t.Helper()
	r, err := roots.New(h.root, "")
	if err != nil {
		h.t.Fatal(err)
	}
	c := counts{memory: 0}
	for _, pid := range ours {
		c[descriptors] += len(entriesOf(fmt.Sprintf("/proc/%d/fd", pid)))
		c["mounts they see"] += lineCount(fmt.Sprintf("/proc/%d/mountinfo", pid))
		c[memory] += field(h.t, fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Private_Dirty:")
	}
	c["cgroups"] = len(allDirsNamed("/sys/fs/cgroup", "compose-"+r.Tag()))
	c["mounts"] = len(linesWith("/proc/self/mountinfo", h.root+"/", "compose-"+r.Tag()))
	c["links"] = len(links(r.Tag()))
	c["firewall lines"] = len(outputWith("cb"+r.Tag(), "nft", "list", "ruleset"))
	c["processes"] = len(processesOf(h.root, "compose-"+r.Tag()))
	for name, top := range map[string]string{"files of the state": r.State, "files in the run directory": r.Run} {
		_ = filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && (path == r.Run || path == r.Layers() || path == r.Images()) && path != top {
				return fs.SkipDir
			}
			c[name]++
			return nil
		})
	}
	return c
}

// settled counts once what the last command has set off is over: when nothing
// is above the counts of before any more, or else nothing has changed for a while.
func (h *host) settled(ours []int, before counts) counts {
	h.t.Helper()
	var now counts
	looks := 20
	if before != nil {
		looks = 400 // only what has leaked takes so long
	}
	for same := 0; same < looks; same++ {
		next := h.count(ours)
		for what, n := range next {
			if now[what] != n && what != memory {
				same = 0
			}
		}
		now = next
		more := before == nil
		for what, n := range now {
			more = more || grown(what, before[what], n)
		}
		if !more {
			break
		}
		time.Sleep(250 * time.Millisecond)
	}
	return now
}

func table(heads []string, columns ...counts) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-40s", "")
	for _, head := range heads {
		fmt.Fprintf(&b, "%12s", head)
	}
	b.WriteByte('\n')
	for _, what := range []string{
		memory, descriptors, "mounts they see", "cgroups", "mounts", "links", "firewall lines",
		"processes", "files of the state", "files in the run directory",
	} {
		fmt.Fprintf(&b, "%-40s", what)
		for _, c := range columns {
			fmt.Fprintf(&b, "%12d", c[what])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func entriesOf(dir string) []os.DirEntry {
	list, _ := os.ReadDir(dir)
	return list
}

func lineCount(path string) int {
	data, _ := os.ReadFile(path)
	return strings.Count(string(data), "\n")
}

// allDirsNamed is every directory below one that is named so, and that one.
func allDirsNamed(top, needle string) []string {
	var found []string
	for _, dir := range dirsNamed(top, needle) {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				found = append(found, path)
			}
			return nil
		})
	}
	return found
}

// TestFlood has containers write faster than can be stored. None of their lines
// is lost, what is kept is bounded where they ask for that, and another
// container's lines come through meanwhile.
func TestFlood(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.busybox("busybox")
	dir := h.project("flood", "compose.yml", fmt.Sprintf(`services:
  counted: {image: busybox, command: 'seq 1 %d'}
  bounded:
    image: busybox
    command: sh -c 'while :; do seq 1 100000; done'
    init: true
    logging: {options: {max-size: 200k, max-file: "3"}}
  modest: {image: busybox, command: "sh -c 'for i in $$(seq 1 50); do echo $$i; usleep 20000; done'"}
`, *soakLines))
	began := time.Now()
	h.in(dir, "up", "-d").ok()
	id := func(service string) string {
		return strings.TrimSpace(h.in(dir, "ps", "-a", "-q", service).ok().stdout)
	}
	ours := []int{ourProcess(t, "compose-keeper", h.root, 0), ourProcess(t, "compose-supervisor", h.root, 0)}
	h.compose("container", "wait", id("modest")).ok() // that it ended at all says that its pipe was read
	if n := h.numbered(id("modest")); n != 50 {
		t.Errorf("the modest container's log has %d lines", n)
	}
	before := h.count(ours)
	h.compose("container", "wait", id("counted")).ok()
	took := time.Since(began)
	if n := h.numbered(id("counted")); n != *soakLines {
		t.Errorf("of %d lines the log has the first %d", *soakLines, n)
	}
	t.Logf("%d lines in %s beside another flood: %.0f a second", *soakLines, took.Round(time.Millisecond), float64(*soakLines)/took.Seconds())

	after := h.count(ours) // the other flood goes on
	t.Logf("keeper and supervisor have %d KiB and %d descriptors, before %d and %d", after[memory], after[descriptors], before[memory], before[descriptors])
	if grown(memory, before[memory], after[memory]) {
		t.Errorf("%s: %d before, %d after", memory, before[memory], after[memory])
	}

	bounded := id("bounded")
	for range 20 {
		if size := h.logSize(bounded); size > 3*200<<10+128<<10 {
			t.Errorf("the bounded log has %d bytes", size)
		}
		time.Sleep(10 * time.Millisecond)
	}
	// With nobody there to store its output it waits, and then goes on.
	var info struct{ State struct{ Pid int } }
	one(t, h.compose("container", "inspect", bounded).ok().stdout, &info)
	supervisor := ours[1]
	if err := syscall.Kill(supervisor, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped := true
	goOn := func() {
		if stopped {
			stopped = false
			_ = syscall.Kill(supervisor, syscall.SIGCONT)
		}
	}
	defer goOn()
	still := written(t, info.State.Pid)
	eventually(t, "the container is held up", func() error {
		time.Sleep(300 * time.Millisecond)
		if now := written(t, info.State.Pid); now != still {
			still = now
			return errors.New("it writes on")
		}
		return nil
	})
	goOn()
	eventually(t, "the container goes on", func() error {
		if written(t, info.State.Pid) == still {
			return errors.New("it does not write")
		}
		return nil
	})
	h.in(dir, "down", "-t", "0").ok()
}

// one decodes the only element of a list.
func one(t testing.TB, list string, v any) {
	t.Helper()
	var all []json.RawMessage
	if err := json.Unmarshal([]byte(list), &all); err != nil || len(all) != 1 {
		t.Fatalf("%v: %s", err, list)
	}
	if err := json.Unmarshal(all[0], v); err != nil {
		t.Fatal(err)
	}
}

// written is how many bytes the processes that are the child of this one, a
// container's init, and their children have written.
func written(t *testing.T, init int) (n int) {
	t.Helper()
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	parent := map[int]int{}
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		parent[pid] = field(t, filepath.Join(dir, "status"), "PPid:")
	}
	for pid := range parent {
		for up := pid; up > 1; up = parent[up] {
			if up == init {
				n += field(t, fmt.Sprintf("/proc/%d/io", pid), "wchar:")
				break
			}
		}
	}
	return n
}

// numbered says how many lines a container's log has, which have to be the
// numbers from 1 on.
func (h *host) numbered(id string) int {
	h.t.Helper()
	f, err := os.Open(filepath.Join(h.root, "containers", id, id+"-json.log"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		if want := fmt.Sprintf(`{"log":"%d\n",`, n+1); !strings.HasPrefix(lines.Text(), want) {
			h.t.Errorf("line %d is %s", n+1, lines.Text())
			return n
		}
	}
	return n
}

// logSize is how many bytes all files of a container's log have.
func (h *host) logSize(id string) (n int64) {
	paths, _ := filepath.Glob(filepath.Join(h.root, "containers", id, id+"-json.log*"))
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil { // it may just be renamed
			n += info.Size()
		}
	}
	return n
}
