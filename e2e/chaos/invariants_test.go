package chaos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"compose/engine"
	"compose/engine/runtime"
	"compose/netbridge"
)

// onDisk is what the state on disk says.
type onDisk struct {
	containers []container
	networks   []netbridge.Network
}

type container struct {
	engine.Container
	state engine.State
}

func (c *container) runs() bool {
	return c.state.Status == engine.Running || c.state.Status == engine.Paused
}

func (c *container) service() string { return c.Spec.Labels["com.docker.compose.service"] }
func (c *container) oneOff() bool    { return c.Spec.Labels["com.docker.compose.oneoff"] == "True" }

// disk reads the state, with nothing of ours but the types.
func (w *world) disk() (d onDisk, err error) {
	entries, err := os.ReadDir(w.roots.Containers())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		c := container{state: engine.State{Status: engine.Created}}
		if err := readJSON(filepath.Join(w.roots.Containers(), e.Name(), "config.json"), &c.Container); err != nil {
			return d, err
		}
		if err := readJSON(filepath.Join(w.roots.Containers(), e.Name(), "state.json"), &c.state); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return d, err
		}
		d.containers = append(d.containers, c)
	}
	files, _ := filepath.Glob(filepath.Join(w.roots.Networks(), "*.json"))
	for _, f := range files {
		var n netbridge.Network
		if err := readJSON(f, &n); err != nil {
			return d, err
		}
		d.networks = append(d.networks, n)
	}
	return d, nil
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// compare lists where the kernel has something else than the disk says.
func (w *world) compare() (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	d, err := w.disk()
	if err != nil {
		return []string{err.Error()}
	}
	tag := w.roots.Tag()
	var groups, sandboxes, endpoints, bridges, ports []string
	var alive, processes []int
	needed := false
	for i := range d.containers {
		c := &d.containers[i]
		needed = needed || c.runs() || c.state.Status == engine.Restarting
		if !c.runs() {
			continue
		}
		if runtime.StartTicks(c.state.PID) != c.state.PIDStart {
			say("%s is %s on disk; its process %d is gone", c.Spec.Name, c.state.Status, c.state.PID)
		}
		groups, sandboxes = append(groups, c.ID), append(sandboxes, c.ID+".json")
		alive = append(alive, c.state.PID)
		for _, e := range c.state.Endpoints {
			endpoints = append(endpoints, e.NetworkID+"/"+c.ID+".json")
		}
		for _, p := range c.state.Ports {
			ports = append(ports, strconv.Itoa(int(p.HostPort)))
		}
	}
	equal := func(what string, disk, kernel []string) {
		slices.Sort(disk)
		slices.Sort(kernel)
		if !slices.Equal(disk, kernel) {
			say("%s: %v on disk, %v in fact", what, disk, kernel)
		}
	}
	// Processes and cgroups.
	for _, g := range cgroups(tag) {
		if filepath.Base(g) == "compose-"+tag {
			continue
		}
		if !slices.Contains(groups, filepath.Base(g)) {
			say("the cgroup %s is nobody's", g)
		}
		data, _ := os.ReadFile(filepath.Join(g, "cgroup.procs")) // it may go just now
		for _, f := range strings.Fields(string(data)) {
			pid, _ := strconv.Atoi(f)
			if !slices.Contains(processes, pid) {
				processes = append(processes, pid)
			}
		}
	}
	for _, pid := range alive {
		if !slices.Contains(processes, pid) {
			say("process %d is in no cgroup", pid)
		}
	}
	for role, want := range map[string]bool{supervisor: needed, keeper: needed} {
		if n := len(w.processes(role)); n > 1 || (n == 1) != want {
			say("%d processes are %s, wanted: %v", n, role, want)
		}
	}
	_, err = os.Stat(filepath.Join(w.roots.RunProject("shop"), "supervisor.sock"))
	if (err == nil) != needed {
		say("the supervisor's socket: %v, wanted: %v", err, needed)
	}
	// The network.
	for _, n := range d.networks {
		bridges = append(bridges, n.Bridge)
	}
	var links []string
	interfaces, _ := net.Interfaces()
	veths := 0
	for _, i := range interfaces {
		if strings.HasPrefix(i.Name, "cb"+tag) {
			links = append(links, i.Name)
		}
		if strings.HasPrefix(i.Name, "cv"+tag) {
			veths++
		}
	}
	equal("bridges", bridges, links)
	if veths != len(endpoints) {
		say("%d interfaces of containers, %d endpoints on disk", veths, len(endpoints))
	}
	equal("sandboxes", sandboxes, names(filepath.Join(w.roots.Run, "sandboxes")))
	var live []string
	for _, n := range names(filepath.Join(w.roots.Run, "networks")) {
		for _, e := range names(filepath.Join(w.roots.Run, "networks", n)) {
			if strings.HasSuffix(e, ".json") {
				live = append(live, n+"/"+e)
			}
		}
	}
	equal("endpoints", endpoints, live)
	equal("published ports", ports, w.publishedPorts(len(d.networks) > 0, say))
	if mounts, _ := os.ReadFile("/proc/self/mountinfo"); bytes.Contains(mounts, []byte(w.roots.State)) {
		say("something is mounted on the host")
	}
	for _, pid := range w.strangers(processes) {
		say("process %s is nobody's", pid)
	}
	return wrong
}

// names are the entries of a directory but for hidden ones.
func names(dir string) (list []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			list = append(list, e.Name())
		}
	}
	return list
}

// cgroups are the groups of this root in all hierarchies.
func cgroups(tag string) (list []string) {
	for _, pattern := range []string{"/sys/fs/cgroup/compose-", "/sys/fs/cgroup/*/compose-"} {
		tops, _ := filepath.Glob(pattern + tag)
		for _, top := range tops {
			_ = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error { // it may go just now
				if err == nil && e.IsDir() {
					list = append(list, path)
				}
				return nil
			})
		}
	}
	return list
}

var portElement = regexp.MustCompile(`(?:tcp|udp) \. (\d+) \. `)

// publishedPorts are those that the firewall leads to containers.
func (w *world) publishedPorts(wanted bool, say func(string, ...any)) (ports []string) {
	out, err := exec.Command("nft", "list", "table", "inet", "compose-"+w.roots.Tag()).CombinedOutput()
	if (err == nil) != wanted {
		say("the firewall's table: %v, wanted: %v", err, wanted)
	}
	for _, m := range portElement.FindAllStringSubmatch(string(out), -1) {
		ports = append(ports, m[1])
	}
	return ports
}

// strangers are processes that have to do with this root and should not be.
func (w *world) strangers(known []int) (list []string) {
	known = append(slices.Clone(known), os.Getpid())
	known = append(append(known, w.processes(supervisor)...), w.processes(keeper)...)
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if slices.Contains(known, pid) {
			continue
		}
		cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if len(cmdline) > 0 && !bytes.Contains(environ, []byte("CHAOS_FOLLOWER")) &&
			(bytes.Contains(cmdline, []byte(w.roots.State)) || bytes.Contains(environ, []byte("COMPOSE_ROOT="+w.roots.State))) {
			list = append(list, fmt.Sprintf("%d %q", pid, cmdline))
		}
	}
	return list
}

// empty lists what a stack that was taken down has left.
func (w *world) empty() (wrong []string) {
	wrong = w.compare()
	if groups := cgroups(w.roots.Tag()); len(groups) > 0 {
		wrong = append(wrong, fmt.Sprintf("cgroups are left: %v", groups))
	}
	for _, dir := range []string{
		w.roots.Containers(), filepath.Join(w.roots.Containers(), ".names"), w.roots.Networks(),
		filepath.Join(w.roots.Run, "networks"), filepath.Join(w.roots.Run, "sandboxes"), filepath.Join(w.roots.Run, "steps"),
		w.roots.Volumes(),
	} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if n := e.Name(); n != ".names" && !strings.HasSuffix(n, "lock") {
				wrong = append(wrong, "left: "+filepath.Join(dir, n))
			}
		}
	}
	return wrong
}

// unlike lists where the stack is not as the model has it.
func (w *world) unlike() (wrong []string) {
	d, err := w.disk()
	if err != nil {
		return []string{err.Error()}
	}
	count := map[string]int{}
	unstarted := w.unstarted
	for i := range d.containers {
		c := &d.containers[i]
		svc := w.stack.services[c.service()]
		if c.oneOff() && c.state.Status == engine.Created && unstarted > 0 {
			unstarted--
			continue
		}
		if c.oneOff() || svc == nil {
			wrong = append(wrong, fmt.Sprintf("%s should not be there", c.Spec.Name))
			continue
		}
		count[c.service()]++
		if c.Spec.Name != fmt.Sprintf("shop-%s-%s", c.service(), c.Spec.Labels["com.docker.compose.container-number"]) {
			wrong = append(wrong, fmt.Sprintf("%s has not got its name back", c.Spec.Name))
		}
		if v := c.Spec.Labels["version"]; v != strconv.Itoa(svc.version) && svc.state == up {
			wrong = append(wrong, fmt.Sprintf("%s is of version %s, not %d", c.Spec.Name, v, svc.version))
		}
		if !svc.fits(&c.state) {
			wrong = append(wrong, fmt.Sprintf("%s should be %s: it is %s with %d (%s)", c.Spec.Name, svc.state, c.state.Status, c.state.ExitCode, c.state.Error))
		}
	}
	for name, svc := range w.stack.services {
		want := svc.scale
		if svc.state == none {
			want = 0
		}
		if count[name] != want {
			wrong = append(wrong, fmt.Sprintf("%d containers of %s, want %d", count[name], name, want))
		}
	}
	return wrong
}

// fits says whether a container is as its service should be.
func (s *service) fits(c *engine.State) bool {
	ended := c.Status == engine.Exited
	switch s.state {
	case stopped:
		switch s.kind {
		case ticker:
			return ended && c.ExitCode == 3
		case oneshot:
			return ended && (c.ExitCode == 7 || c.ExitCode == 143)
		}
		return ended
	case killed:
		return ended && c.ExitCode == 137
	case paused:
		return c.Status == engine.Paused
	}
	switch s.kind {
	case crasher:
		return c.Status == engine.Restarting && c.ExitCode == 5 || c.Status == engine.Running
	case oneshot:
		return ended && c.ExitCode == 7 && c.RestartCount == 0
	}
	return c.Status == engine.Running && c.RestartCount == 0
}
