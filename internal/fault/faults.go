//go:build faults

// Package fault lets a test kill our processes at chosen instants. Built
// without the tag "faults", as every release is, it is empty.
package fault

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Variable names a file that says who is to die and when. One line:
//
//	<role> <n>         after n points, counted over all processes of the role
//	<role> =<point>    at this point
//	note               nobody: "<role>@<point>" is added to the file beside it
//	                   that ends in .passed
//
// The role is that of a process: "compose", "compose-supervisor",
// "compose-keeper", or "any". The one that dies writes "<role>@<point>" in the
// line's place.
const Variable = "COMPOSE_FAULT"

var path = os.Getenv(Variable)

// Point kills this process if the file says so.
func Point(name string) {
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX) != nil {
		return
	}
	buf := make([]byte, 256)
	n, _ := f.Read(buf)
	line := strings.TrimSpace(string(buf[:n]))
	if line == "note" {
		note(name)
		return
	}
	role, when, ok := strings.Cut(line, " ")
	if !ok || role != "any" && role != ownRole() {
		return
	}
	point, named := strings.CutPrefix(when, "=")
	count, err := strconv.Atoi(when)
	switch {
	case named && point != name, !named && err != nil:
		return
	case !named && count > 0:
		line = role + " " + strconv.Itoa(count-1)
	default:
		line = ownRole() + "@" + name // a role that nobody has
	}
	if f.Truncate(0) != nil {
		return
	}
	if _, err := f.WriteAt([]byte(line), 0); err != nil {
		return
	}
	if named || count <= 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// note says that this process has passed a point.
func note(name string) {
	f, err := os.OpenFile(path+".passed", os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = f.WriteString(ownRole() + "@" + name + "\n") // what is not noted is not tried
}

func ownRole() string {
	if len(os.Args) > 0 && strings.HasPrefix(os.Args[0], "compose-") {
		return os.Args[0]
	}
	return "compose"
}
