// Package ociruntime finds the OCI runtimes that are installed beside the
// built-in one.
package ociruntime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Config is where Docker's administrator names runtimes, under "runtimes".
const Config = "/etc/docker/daemon.json"

// Program is an installed runtime.
type Program struct {
	Path string   // absolute
	Args []string // that come before the command
}

// Find finds a runtime by the name that a container asks for; nil stands for
// the built-in one. "runc", the name that Docker's default has, is the
// installed runc or, without it, the built-in runtime.
func Find(name string) (*Program, error) { return find(name, Config) }

func find(name, config string) (*Program, error) {
	switch name {
	case "", "compose", "io.containerd.runc.v2":
		return nil, nil
	}
	named, err := configured(config)
	if err != nil {
		return nil, err
	}
	p, known := named[name]
	if !known {
		p.Path = name
	}
	if p.Path == "" { // it names a shim of containerd's, or options only
		return nil, fmt.Errorf("the runtime %s has no path in %s; name the program of an OCI runtime there", name, config)
	}
	path, err := exec.LookPath(p.Path)
	switch {
	case err != nil && name == "runc" && !known:
		return nil, nil
	case err != nil && known:
		return nil, fmt.Errorf("the runtime %s is %s by %s, which is not there; install it", name, p.Path, config)
	case err != nil:
		return nil, fmt.Errorf("unknown or invalid runtime name: %s; it is neither a program in PATH nor one of the runtimes in %s", name, config)
	}
	if p.Path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	// Not every program is one: each runtime tells which version of the OCI's
	// specification it follows.
	out, err := exec.Command(p.Path, "--version").Output()
	if errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.EAGAIN) {
		return nil, fmt.Errorf("start the runtime %s: %w", name, errors.Unwrap(err))
	}
	if err != nil || !strings.Contains(string(out), "spec:") {
		return nil, fmt.Errorf("unknown or invalid runtime name: %s; %s is no OCI runtime, whose --version says which spec it follows", name, p.Path)
	}
	return &p, nil
}

// configured are the runtimes that the administrator has named.
func configured(config string) (map[string]Program, error) {
	data, err := os.ReadFile(config)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the names of runtimes: %w", err)
	}
	var file struct {
		Runtimes map[string]struct {
			Path string   `json:"path"`
			Args []string `json:"runtimeArgs"`
		} `json:"runtimes"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("read the names of runtimes: %s: %w", config, err)
	}
	all := map[string]Program{}
	for name, r := range file.Runtimes {
		all[name] = Program{Path: r.Path, Args: r.Args}
	}
	return all, nil
}
