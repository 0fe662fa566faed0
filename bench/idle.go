package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// idleRow is what a tool has beside n containers that do nothing.
type idleRow struct {
	Containers int                `json:"containers"`
	Budget     float64            `json:"budget_mib"`
	PSS        float64            `json:"pss_mib"` // proportional set size, without the containers' own
	Peers      map[string]float64 `json:"peers_mib,omitempty"`
	WakeUps    int                `json:"wakeups"` // of ours in idleTime
}

const idleTime = 10 * time.Second

// idle weighs everything but the containers' own processes while n run, and
// counts how often anything of ours wakes up.
func (c *compose) idle(n int, peers map[string]*compose) (r idleRow, err error) {
	r = idleRow{Containers: n, Budget: 25, Peers: map[string]float64{}}
	if n >= 200 {
		r.Budget = 50
	}
	if _, err := c.time(n, "up", "-d"); err != nil {
		return r, err
	}
	time.Sleep(5 * time.Second) // what follows from the command's end is over
	pids := processes(func(dir string) bool {
		argv, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		return bytes.HasPrefix(argv, []byte("compose-")) && bytes.Contains(environ, []byte(c.dir))
	})
	if len(pids) == 0 {
		return r, fmt.Errorf("no supervisor was found to weigh")
	}
	before := sum(pids, "task/*/status", "voluntary_ctxt_switches:")
	time.Sleep(idleTime)
	r.WakeUps = sum(pids, "task/*/status", "voluntary_ctxt_switches:") - before
	r.PSS = float64(sum(pids, "smaps_rollup", "Pss:")) / 1024
	if _, err := c.time(n, "down", "-t", "0"); err != nil {
		return r, err
	}
	peer, engine := peers["docker compose"], dockerEngine()
	if peer == nil || engine == "" {
		return r, nil
	}
	if _, err := peer.time(n, "up", "-d"); err != nil {
		return r, err
	}
	pids = processes(func(dir string) bool {
		name, _ := os.ReadFile(filepath.Join(dir, "comm"))
		there, _ := os.Readlink(filepath.Join(dir, "ns/net"))
		return slices.Contains([]string{"dockerd", "containerd", "containerd-shim", "docker-proxy"}, strings.TrimSpace(string(name))) && there == engine
	})
	r.Peers["docker compose"] = float64(sum(pids, "smaps_rollup", "Pss:")) / 1024
	_, err = peer.time(n, "down", "-t", "0")
	return r, err
}

// dockerEngine is the network namespace of the process behind DOCKER_HOST, by
// which its helpers are told from those of other engines.
func dockerEngine() string {
	path, ok := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://")
	if !ok {
		path = "/var/run/docker.sock"
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		return ""
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return ""
	}
	namespace := ""
	_ = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			namespace, _ = os.Readlink(fmt.Sprintf("/proc/%d/ns/net", peer.Pid))
		}
	})
	return namespace
}

// processes are the directories below /proc of those that wanted picks.
func processes(wanted func(dir string) bool) (list []string) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if wanted(dir) {
			list = append(list, dir)
		}
	}
	return list
}

// sum adds up the numbers behind name in a file of each process.
func sum(dirs []string, file, name string) (total int) {
	for _, dir := range dirs {
		files, _ := filepath.Glob(filepath.Join(dir, file))
		for _, f := range files {
			data, _ := os.ReadFile(f)
			for line := range strings.Lines(string(data)) {
				if f := strings.Fields(line); len(f) > 1 && f[0] == name {
					n, _ := strconv.Atoi(f[1])
					total += n
				}
			}
		}
	}
	return total
}
