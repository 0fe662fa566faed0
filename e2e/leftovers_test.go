package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"compose/internal/roots"
)

// leftovers lists what an installation still has on the host after all its
// projects were taken down: nothing, if all is well. Processes get a while,
// because the last supervisor leaves after it has answered, and one that nobody
// came to see, its command having failed before, after ten seconds.
func leftovers(root string) []string {
	var left []string
	for range 1200 {
		if left = look(root); len(left) == 0 {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return left
}

func look(root string) []string {
	r, err := roots.New(root, "")
	if err != nil {
		return []string{err.Error()}
	}
	// All but the links carry the tag behind a word. Alone, six digits are found
	// by chance among the 64 of somebody else's ID.
	name := "compose-" + r.Tag()
	var left []string
	add := func(kind string, found []string) {
		for _, f := range found {
			left = append(left, kind+" "+f)
		}
	}
	add("mount", linesWith("/proc/self/mountinfo", root+"/", name))
	add("link", links(r.Tag()))
	add("nft rule", outputWith(name, "nft", "list", "ruleset"))
	add("cgroup", dirsNamed("/sys/fs/cgroup", name))
	add("process", processesOf(root, name))
	add("container", entries(r.Containers()))
	add("network", jsonFiles(r.Networks()))
	add("project", entries(r.Projects()))
	add("socket", sockets(r.Run))
	add("live endpoint", jsonFiles(filepath.Join(r.Run, "networks")))
	return left
}

func linesWith(path string, needles ...string) []string {
	data, err := os.ReadFile(path)
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for line := range strings.Lines(string(data)) {
		for _, needle := range needles {
			if strings.Contains(line, needle) {
				found = append(found, strings.TrimSpace(line))
				break
			}
		}
	}
	return found
}

func links(tag string) []string {
	interfaces, err := net.Interfaces()
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for _, i := range interfaces {
		if strings.HasPrefix(i.Name, "cb"+tag) || strings.HasPrefix(i.Name, "cv"+tag) {
			found = append(found, i.Name)
		}
	}
	return found
}

func outputWith(needle, name string, args ...string) []string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return []string{fmt.Sprintf("%s: %v: %s", name, err, out)}
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, needle) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func dirsNamed(top, needle string) []string {
	var found []string
	filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(d.Name(), needle) {
			found = append(found, path)
			return fs.SkipDir
		}
		return nil
	})
	return found
}

// processesOf finds our own processes by the root in their environment or
// arguments, and containers' processes by their cgroup.
func processesOf(root, group string) []string {
	var found []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if filepath.Base(dir) == strconv.Itoa(os.Getpid()) {
			continue
		}
		cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		cgroup, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		if bytes.Contains(cmdline, []byte(root)) || bytes.Contains(environ, []byte("COMPOSE_ROOT="+root)) ||
			bytes.Contains(cgroup, []byte("/"+group)) {
			args := strings.TrimSpace(string(bytes.ReplaceAll(cmdline, []byte{0}, []byte(" "))))
			if args == "" {
				continue // a zombie: ended, and its parent will read it
			}
			found = append(found, filepath.Base(dir)+" "+args)
		}
	}
	return found
}

func entries(dir string) []string {
	list, _ := os.ReadDir(dir)
	var found []string
	for _, e := range list {
		if !strings.HasPrefix(e.Name(), ".") && e.IsDir() {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	return found
}

func jsonFiles(dir string) []string {
	var found []string
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".json") {
			found = append(found, path)
		}
		return nil
	})
	return found
}

func sockets(dir string) []string {
	var found []string
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSocket != 0 {
			found = append(found, path)
		}
		return nil
	})
	return found
}
