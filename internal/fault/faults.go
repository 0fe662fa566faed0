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

// Variable names a file that says who is to die and when: "<role> <n>", the
// role being that of a process ("compose", "compose-supervisor",
// "compose-keeper", or "any"), n how many points it passes before. The one that
// dies writes the point's name in its place.
const Variable = "COMPOSE_FAULT"

var path = os.Getenv(Variable)

// Point kills this process if the file says so. Points are counted over all
// processes of the role, one after the other.
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
	buf := make([]byte, 64)
	n, _ := f.Read(buf)
	role, count, ok := strings.Cut(strings.TrimSpace(string(buf[:n])), " ")
	if !ok || role != "any" && role != ownRole() {
		return
	}
	left, err := strconv.Atoi(count)
	if err != nil {
		return
	}
	line := role + " " + strconv.Itoa(left-1)
	if left <= 0 {
		line = ownRole() + "@" + name // one word: nobody else is to die
	}
	if f.Truncate(0) != nil {
		return
	}
	if _, err := f.WriteAt([]byte(line), 0); err != nil {
		return
	}
	if left <= 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func ownRole() string {
	if len(os.Args) > 0 && strings.HasPrefix(os.Args[0], "compose-") {
		return os.Args[0]
	}
	return "compose"
}
