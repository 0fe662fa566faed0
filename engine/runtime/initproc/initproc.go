// Package initproc is the init of a container with init: true: PID 1 that runs
// the container's program as its child, passes signals on to it and reaps
// every process that is left to it. A program that links this package becomes
// that init when its name is Name, before its other packages initialise.
package initproc

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"compose/internal/signals"
	"compose/internal/timerslack"
)

// Name is the name by which the binary is told to be an init. The arguments
// are Reap and the command, or InPlace, the program's path and the command.
const (
	Name    = "compose-init"
	Reap    = "--"
	InPlace = "-"
)

func init() {
	switch {
	case len(os.Args) < 3 || os.Args[0][strings.LastIndexByte(os.Args[0], '/')+1:] != Name:
	case os.Args[1] == InPlace:
		os.Exit(become(os.Args[2], os.Args[3:]))
	default:
		os.Exit(run(os.Args[2:]))
	}
}

// become runs the command in the init's own place. It is for a container
// whose maker is not sealed (CVE-2019-5736): a command that says
// "#!/proc/self/exe" is to find a binary that nobody can write.
func become(path string, command []string) int {
	err := syscall.Exec(path, command, os.Environ())
	fmt.Fprintf(os.Stderr, "exec %s: %v\n", path, err)
	if err == syscall.ENOENT {
		return 127 // the interpreter that the program names
	}
	return 126
}

func run(command []string) int {
	// Before the child exists, so that no signal for it is lost.
	caught := make(chan os.Signal, 64)
	if err := signals.Catch(caught); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 126
	}
	path, code, err := find(command[0])
	if err == nil {
		var pid int
		err = timerslack.Outside(func() (err error) {
			pid, err = start(path, command)
			return err
		})
		if err == nil {
			return look(pid, caught)
		}
		code = 126
	}
	fmt.Fprintf(os.Stderr, "exec %s: %v\n", command[0], err)
	return code
}

func start(path string, command []string) (int, error) {
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true}}
	pid, err := syscall.ForkExec(path, command, &syscall.ProcAttr{
		Env: attr.Env, Files: attr.Files, Sys: &syscall.SysProcAttr{Setpgid: true, Foreground: true, Ctty: 0},
	})
	if err == syscall.ENOTTY {
		return syscall.ForkExec(path, command, attr) // no terminal to be in the foreground of
	}
	return pid, err
}

// look waits for the child's end and returns its exit code in the shell's form.
func look(child int, caught <-chan os.Signal) int {
	for s := range caught {
		switch s {
		case syscall.SIGCHLD:
		case syscall.SIGURG, syscall.SIGTTIN, syscall.SIGTTOU:
			continue // the first is the Go runtime's own, the others are about the terminal
		default:
			if sig, ok := s.(syscall.Signal); ok {
				_ = syscall.Kill(child, sig)
			}
			continue
		}
		for {
			var status syscall.WaitStatus
			pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
			if err == syscall.EINTR {
				continue
			}
			if err != nil || pid <= 0 {
				break
			}
			if pid != child {
				continue
			}
			if status.Signaled() {
				return 128 + int(status.Signal())
			}
			return status.ExitStatus()
		}
	}
	return 0
}

// find looks the command up in PATH.
func find(name string) (path string, code int, err error) {
	if strings.Contains(name, "/") {
		if _, err := os.Stat(name); err != nil {
			return "", 127, syscall.ENOENT
		}
		return name, 0, nil
	}
	for _, dir := range strings.Split(os.Getenv("PATH"), ":") {
		if dir == "" {
			dir = "."
		}
		info, err := os.Stat(dir + "/" + name)
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return dir + "/" + name, 0, nil
		}
	}
	return "", 127, fmt.Errorf("executable file not found in $PATH")
}
